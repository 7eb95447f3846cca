// The lines of a profile as elements that stay where they are while what they show changes.
// All that comes from elsewhere is set as text.

import { pinning, removing, restoring, unpinning, unwriting, weighing } from "./edits.js";

const FACETS = {
  format: "Format", tone: "Tone", length: "Length", expertise: "What you know", domain: "Your field",
  stack: "Tools and languages", avoid: "Please never", "": "In your own words",
};
const TIMES = {
  0: "does not count", 0.5: "counts half", 1: "as noticed", 1.5: "counts one and a half times", 2: "counts double",
  2.5: "counts two and a half times", 3: "counts three times", 3.5: "counts three and a half times",
  4: "counts four times",
};
const MOST_WEIGHT = Number(document.body.dataset.weight);
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });

/** An element with these properties and children; strings become text. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export const nameOf = (facet) => FACETS[facet] ?? facet.charAt(0).toUpperCase() + facet.slice(1);

/** What a facet's group is in: own phrases and own texts stand together, whatever they are about. */
export const groupOf = (line) => (line.origin === "label" ? line.facet : "");

/** Puts exactly these elements into the parent, in this order, and moves only those that stand elsewhere. */
export function arrange(parent, wanted) {
  for (const child of [...parent.children]) if (!wanted.includes(child)) child.remove();
  wanted.forEach((element, n) => {
    if (parent.children[n] !== element) parent.insertBefore(element, parent.children[n] ?? null);
  });
}

/** One line and its controls. `change` is called with what the user decides about it. */
export class LineView {
  constructor(id, change) {
    this.text = make("p", { className: "says" });
    this.state = make("p", { className: "state" });
    this.why = make("div", { className: "quotes" });
    this.summary = make("summary", {}, "Why?");
    this.details = make("details", {}, this.summary, this.why);
    this.pin = make("button", { type: "button", onclick: () => this.#pin() }, "Pin");
    this.remove = make("button", { type: "button", className: "remove", onclick: () => this.#remove() }, "Remove");
    this.restore = make("button", { type: "button", className: "restore", onclick: () => this.#restore() }, "Restore");
    this.slider = make("input", {
      type: "range", min: 0, max: MOST_WEIGHT, step: 0.5, id: `weight-${id}`,
      oninput: () => this.#tell(), onchange: () => this.#weigh(),
    });
    this.words = make("output", { htmlFor: `weight-${id}` });
    this.weight = make("label", { className: "weight" }, "Weight ", this.slider, this.words);
    this.buttons = make("div", { className: "buttons" }, this.pin, this.remove, this.restore);
    const controls = make("div", { className: "controls" }, this.weight, this.buttons);
    this.element = make("li", { className: "line" }, this.text, this.state, controls, this.details);
    this.id = id;
    this.change = change;
  }

  /** Shows the line with what the user decided, saved or not. */
  show(line, edits) {
    this.line = line;
    this.pinned = edits.pins.includes(this.id);
    const removed = this.removed(edits);
    const weight = edits.weights[this.id] ?? 1;
    const own = line.origin === "text";
    this.element.classList.toggle("told", line.shown && !removed);
    this.text.textContent = line.text;
    this.state.textContent = this.#state(removed);
    this.weight.hidden = own || removed;
    this.pin.hidden = own || removed;
    this.remove.hidden = removed;
    this.restore.hidden = !removed;
    this.pin.setAttribute("aria-pressed", String(this.pinned));
    if (Number(this.slider.value) !== weight && !this.slider.matches(":active")) this.slider.value = weight;
    this.#tell();
    this.slider.setAttribute("aria-label", `Weight: ${line.text}`);
    for (const button of [this.pin, this.remove, this.restore]) {
      button.setAttribute("aria-label", `${button.textContent}: ${line.text}`);
    }
    this.summary.setAttribute("aria-label", `Why? ${line.text}`);
    this.#quotes();
  }

  removed(edits) {
    return this.line.origin !== "text" && edits.removed.includes(this.id);
  }

  #state(removed) {
    if (removed) return "Removed";
    if (this.pinned) return this.line.shown ? "Told, pinned" : "Pinned, not told yet";
    return this.line.shown ? "Told" : "Not told";
  }

  #tell() {
    const words = TIMES[this.slider.value] ?? `counts ${this.slider.value} times`;
    this.slider.setAttribute("aria-valuetext", words);
    this.words.textContent = words;
  }

  #quotes() {
    const shown = JSON.stringify([this.line.evidence, this.line.quotes, this.line.origin]);
    if (shown === this.quoted) return;
    this.quoted = shown;
    this.why.replaceChildren(make("p", {}, this.#noticed()), ...this.line.quotes.map(quoted));
  }

  #noticed() {
    const { origin, evidence, quotes } = this.line;
    if (origin === "text") return "You wrote this yourself.";
    if (!evidence) return "Nothing of this was noticed: you chose it yourself.";
    const times = { 1: "once", 2: "twice" }[evidence] ?? `${evidence} times`;
    return `Noticed ${times}, ${evidence > quotes.length ? "lately when" : "when"} you said:`;
  }

  #pin() {
    const make = this.pinned ? unpinning(this.id) : pinning(this.id);
    this.change({ said: `${this.pinned ? "No longer pinned" : "Pinned"}: ${this.line.text}`, make });
  }

  #remove() {
    const make = this.line.origin === "text" ? unwriting(this.line.own) : removing(this.id);
    this.change({ said: `Removed: ${this.line.text}`, make }, this);
  }

  #restore() {
    this.change({ said: `Restored: ${this.line.text}`, make: restoring(this.id) }, this);
  }

  #weigh() {
    const said = `Weight: ${this.line.text} ${this.words.textContent}`;
    this.change({ key: `weight ${this.id}`, said, make: weighing(this.id, Number(this.slider.value)) });
  }
}

function quoted(quote) {
  const day = quote.said_at ? [make("time", { dateTime: quote.said_at }, DAY.format(new Date(quote.said_at)))] : [];
  const place = `session ${quote.session_id}, turn ${quote.seq}${day.length ? ", " : ""}`;
  const words = make("blockquote", {}, make("p", {}, quote.text));
  return make("figure", {}, words, make("figcaption", {}, place, ...day));
}
