// The page: who is here, what stands in their profile, and what they change.

import { pinning, writing } from "./edits.js";
import { LineView, arrange, groupOf, make, nameOf } from "./lines.js";
import { Api, Refused, Saving } from "./saving.js";

const KEPT = "carryover link";
const LIMITS = document.body.dataset;
const at = (id) => document.getElementById(id);
const views = new Map(); // of lines, by id
const ranks = new Map(); // of lines, by id: in the order in which they came
const groups = new Map(); // of facets
let saving = null;
let by = ""; // how whoever is here came in: by "link", "key" or "nothing"
let choices = [];
let again = () => {}; // what the button in the notice of trouble does
let slow = 0;

// Who is here. A link's token is good for one user and a short time: it is kept while the tab is open, so that the page
// may be loaded again. A key is kept nowhere.

function arrive() {
  const given = location.hash.slice(1);
  if (given) {
    tab((storage) => storage.setItem(KEPT, given));
    history.replaceState(null, "", location.pathname + location.search);
  }
  const token = given || tab((storage) => storage.getItem(KEPT));
  const user = new URLSearchParams(location.search).get("user_id") ?? "";
  at("key-user").value = user;
  if (token) return given && saving?.profile ? resume(token) : enter(new Api(token, ""), "link");
  return user ? enter(new Api("", user), "nothing") : knock();
}

/** What the tab keeps. A browser may forbid it: then a link is good until the page is loaded again. */
function tab(act) {
  try {
    return act(sessionStorage);
  } catch {
    return null;
  }
}

function forget() {
  tab((storage) => storage.removeItem(KEPT));
}

function knock() {
  at("profile").hidden = at("who").hidden = true;
  at("door").hidden = false;
}

/** Goes on with a new link where an old one expired: what was not saved is saved now. */
async function resume(token) {
  const api = new Api(token, "");
  const found = await api.show().catch((refusal) => failed(refusal, () => resume(token)));
  if (!found) return undefined;
  if (found.user_id !== saving.profile.user_id) return enter(api, "link");
  quiet();
  by = "link";
  Object.assign(saving.api, { token, user: "" });
  return saving.again();
}

async function enter(api, means) {
  quiet();
  const opened = new Saving(api, { shown, saving: busy, saved, conflict, refused, held });
  [saving, by] = [opened, means];
  try {
    await opened.open();
    choices = (await api.choices()).choices;
  } catch (refusal) {
    if (saving === opened) failed(refusal, () => enter(api, means));
    return;
  }
  at("door").hidden = true;
  at("profile").hidden = at("who").hidden = false;
  at("key").value = "";
  find();
}

function failed(refusal, retry) {
  if (!(refusal instanceof Refused)) throw refusal;
  const { status, message } = refusal;
  if (status === 401) {
    forget();
    if (by === "link") trouble("This link is no longer valid. Ask for a new one where you got it.");
    if (by === "key") trouble("This key is not known here. Check it, or ask for a link.");
  } else if (refusal.passing) trouble(why(refusal), "Try again", retry);
  else trouble(sentence(message || "The profile cannot be shown"));
  if (at("profile").hidden) knock();
}

function why(refusal) {
  return sentence(refusal.message || `The server cannot ${refusal.status === 0 ? "be reached" : "answer now"}`);
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1).replace(/[.!?]?$/, ".");

function leave() {
  forget();
  location.replace(location.pathname);
}

// What is shown.

function shown() {
  if (!saving.profile) return;
  const { profile, edits } = saving;
  const had = document.activeElement;
  at("user").textContent = profile.user_id;
  showBlock(profile.persona);
  showLines(linesOf(profile, edits), edits);
  showRoom(edits);
  if (had !== document.activeElement && had.isConnected) had.focus({ preventScroll: true });
}

function showBlock(persona) {
  const told = persona.text.split("\n").map((line, n) => make("span", {}, n ? `\n${line}` : line));
  at("block").replaceChildren(...told);
  at("block").hidden = at("size").hidden = !persona.text;
  at("nothing").hidden = Boolean(persona.text);
  at("size-text").textContent = `${persona.tokens} of at most ${LIMITS.tokens} tokens`;
  at("fill").style.inlineSize = `${(100 * persona.tokens) / LIMITS.tokens}%`;
  at("warnings").hidden = !persona.warnings.length;
  at("warnings").replaceChildren(...persona.warnings.map((warning) => make("li", {}, warning)));
}

/**
 * The profile's lines, where they stood before: nothing moves because a line is told now or no longer. Those of own
 * texts know the text that they tell; a text that was removed is not among them.
 */
function linesOf(profile, edits) {
  const texts = [...profile.edits.texts];
  const lines = profile.lines.map((line) => (line.origin === "text" ? { ...line, own: texts.shift() } : line));
  for (const { id } of lines) if (!ranks.has(id)) ranks.set(id, ranks.size);
  return lines
    .filter((line) => line.origin !== "text" || edits.texts.includes(line.own))
    .sort((a, b) => ranks.get(a.id) - ranks.get(b.id));
}

function showLines(lines, edits) {
  for (const line of lines) {
    if (!views.has(line.id)) views.set(line.id, new LineView(line.id, changed));
    views.get(line.id).show(line, edits);
  }
  const here = lines.map((line) => views.get(line.id));
  const removed = here.filter((view) => view.removed(edits));
  const kept = here.filter((view) => !removed.includes(view));
  const wanted = [...new Set(kept.map((view) => groupOf(view.line)))];
  const sections = wanted.map((facet) => groupFor(facet));
  arrange(at("groups"), sections);
  for (const [n, facet] of wanted.entries()) {
    const elements = kept.filter((view) => groupOf(view.line) === facet).map((view) => view.element);
    arrange(sections[n].querySelector("ul"), elements);
  }
  arrange(at("removed"), removed.map((view) => view.element));
  at("removed-section").hidden = !removed.length;
  at("empty").hidden = lines.length > 0;
}

function groupFor(facet) {
  if (!groups.has(facet)) {
    const title = make("h3", { id: `facet-${groups.size}` }, nameOf(facet));
    const list = make("ul", { className: "card lines", "aria-labelledby": title.id });
    groups.set(facet, make("section", {}, title, list));
  }
  return groups.get(facet);
}

function showRoom(edits) {
  const room = LIMITS.texts - edits.texts.length;
  at("write").disabled = room <= 0;
  at("text-help").textContent = room > 0
    ? `Up to ${LIMITS.texts} lines, told word for word as yours: no numbers, no links.`
    : `You have ${LIMITS.texts}, which is all there is room for: remove one to add another.`;
  count();
}

function count() {
  at("text-count").textContent = `${at("text").value.length} of ${LIMITS.characters} characters`;
}

/** Offers what may be pinned and stands in no line yet, as far as it holds every word that is looked for. */
function find() {
  const words = at("search").value.toLowerCase().split(/\s+/);
  const known = new Set(saving.profile.lines.map((line) => line.id));
  const found = choices.filter(({ id, facet, text }) =>
    !known.has(id) && words.every((word) => `${nameOf(facet)} ${text}`.toLowerCase().includes(word)));
  const before = at("choices").value;
  at("choices").replaceChildren(...[...new Set(found.map((one) => one.facet))].map((facet) => {
    const options = found.filter((one) => one.facet === facet);
    const shown = options.map(({ id, text }) => make("option", { value: id }, text));
    return make("optgroup", { label: nameOf(facet) }, ...shown);
  }));
  at("choices").value = found.some((one) => one.id === before) ? before : (found[0]?.id ?? "");
  at("pin-choice").disabled = !found.length;
  at("found").textContent = found.length === 1 ? "1 line" : `${found.length} lines`;
}

// What the user changes.

/** `leaving`: the line leaves its list, and whoever got there by keyboard goes on beside it. */
function changed(change, leaving) {
  const next = leaving && neighbour(leaving.element);
  saving.add(change);
  if (!leaving) return;
  const line = next ?? leaving.element;
  if (line.isConnected) line.querySelector(".remove:not([hidden]), .restore:not([hidden])").focus();
  else at("lines-title").focus();
}

function neighbour(element) {
  const lines = [...element.closest("#groups, #removed").querySelectorAll(".line")];
  const n = lines.indexOf(element);
  return lines[n + 1] ?? lines[n - 1];
}

function write(event) {
  event.preventDefault();
  const text = inOneLine(at("text").value);
  if (!text) return wrong("Write something first.");
  if (saving.edits.texts.includes(text)) return wrong("You have this line already.");
  wrong("");
  return saving.add({ text, said: `Added: “${text}”`, make: writing(text) });
}

const inOneLine = (text) => text.normalize("NFC").trim().split(/\s+/).join(" ");

function wrong(problem) {
  at("text-problem").textContent = problem;
  at("text").setAttribute("aria-invalid", String(Boolean(problem)));
  if (problem) at("text").focus();
}

function pinChoice(event) {
  event.preventDefault();
  const choice = choices.find(({ id }) => id === at("choices").value);
  if (choice) saving.add({ said: `Pinned: ${choice.text}`, make: pinning(choice.id) });
}

// What becomes of it.

function busy() {
  clearTimeout(slow);
  slow = setTimeout(() => tell("Saving …"), 400);
}

function saved(change, differs) {
  quiet();
  tell(`${sentence(change.said)} Saved.${differs ? " What models are told has changed." : ""}`);
  if (change.text && inOneLine(at("text").value) === change.text) {
    at("text").value = "";
    count();
  }
  if (change.erase) at("lines-title").focus();
}

function conflict(changes) {
  const said = changes.map((change) => sentence(change.said)).join(" ");
  tell("");
  const what = "Your profile has changed since you opened it here: elsewhere, or because something new was noticed.";
  const save = () => changes.forEach((change) => saving.add(change));
  trouble(`${what} This is the newest. Not saved: ${said}`, "Save it now", save);
}

function refused(change, refusal) {
  tell("");
  const said = refusal.message || "the server did not accept this";
  const looking = refusal.status === 403 && by === "link";
  if (looking) trouble("This link only shows your profile. Ask for one to change it with.");
  else if (change.text) wrong(sentence(said.replace(/^texts(\[\d+\])?/, "this")));
  else trouble(sentence(said));
}

function held(refusal) {
  tell("");
  if (refusal.status === 401) {
    forget();
    const link = "This link has expired. Ask for a new one", key = "This key opens nothing now. Ask for a link";
    const remedy = by === "link" ? link : key;
    trouble(`${remedy} and open it in this tab: your change is kept here until then.`);
  } else {
    const said = `${why(refusal)} Nothing is lost: your change is kept here, and saved as soon as it can be.`;
    trouble(said, "Try again", () => saving.again());
  }
}

function tell(news) {
  clearTimeout(slow);
  at("status").textContent = news;
  at("undo").hidden = !saving?.undo || !news;
  at("undo").textContent = saving?.undo?.back ? "Undo" : "Redo";
  at("news").classList.toggle("on", Boolean(news));
}

function trouble(what, remedy, act) {
  at("alert").textContent = what;
  at("trouble").classList.add("on");
  at("again").hidden = !act;
  at("again").textContent = remedy ?? "";
  at("dismiss").hidden = false;
  again = act ?? again;
}

function quiet() {
  at("alert").textContent = "";
  at("trouble").classList.remove("on");
  at("again").hidden = at("dismiss").hidden = true;
}

at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  enter(new Api(at("key").value.trim(), at("key-user").value.trim()), "key");
});
at("text-form").addEventListener("submit", write);
at("choice-form").addEventListener("submit", pinChoice);
at("text").addEventListener("input", () => {
  count();
  at("text-problem").textContent = "";
  at("text").removeAttribute("aria-invalid");
});
at("search").addEventListener("input", find);
at("leave").addEventListener("click", leave);
at("again").addEventListener("click", () => { quiet(); again(); });
at("dismiss").addEventListener("click", quiet);
at("undo").addEventListener("click", () => saving.add(saving.undo));
at("delete").addEventListener("click", () => at("sure").showModal());
at("keep").addEventListener("click", () => at("sure").close());
at("erase").addEventListener("click", () => {
  at("sure").close();
  saving.add({ erase: true, said: "Your profile is deleted", make: (edits) => edits });
});
addEventListener("hashchange", arrive);
addEventListener("online", () => saving?.again());
addEventListener("beforeunload", (event) => { if (saving?.changes.length) event.preventDefault(); });

arrive();
