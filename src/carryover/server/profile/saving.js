// Talks to the server: asks for the profile, and saves one change after the other on the version that it builds on.

import { NONE, difference, reverting } from "./edits.js";

const PATIENCE_MS = 20_000;
const RETRY_MS = [1_000, 2_000, 5_000, 10_000, 30_000];

/** The server's refusal, or that it could not be reached (`status` 0). */
export class Refused extends Error {
  constructor(status, problem = {}, wait = 0) {
    super(problem.detail ?? "");
    this.status = status;
    this.field = problem.field ?? "";
    this.wait = wait;
  }

  /** Whether the same may be accepted later. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** The profile's API, for whoever brings `token` (a link's or a key) and, where that does not say it, a user. */
export class Api {
  constructor(token, user) {
    this.token = token;
    this.user = user;
  }

  show = () => this.#ask("GET", "");
  choices = () => this.#ask("GET", "/choices");
  erase = () => this.#ask("DELETE", "");
  edit = (change, version) => this.#ask("PATCH", "", change, version);

  async #ask(method, path, body, version) {
    const url = new URL(location.pathname + path, location.origin);
    if (this.user) url.searchParams.set("user_id", this.user);
    const headers = { Accept: "application/json" };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (version !== undefined) headers["If-Match"] = `"${version}"`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let answer, told;
    try {
      const signal = AbortSignal.timeout(PATIENCE_MS);
      const sent = body === undefined ? undefined : JSON.stringify(body);
      answer = await fetch(url, { method, headers, body: sent, signal, cache: "no-store", credentials: "omit" });
      told = await answer.text();
    } catch {
      throw new Refused(0);
    }
    const read = parsed(told);
    if (!answer.ok) throw new Refused(answer.status, read, Number(answer.headers.get("Retry-After")) * 1000 || 0);
    return read;
  }
}

/**
 * Saves changes `{said, make}` in the order in which they are made, never two at once. Of changes with the same `key`
 * that wait, only the last is saved.
 *
 * `on.shown` is called when there is something new to show, `on.saving`, `on.saved`, `on.conflict`, `on.refused` and
 * `on.held` for what becomes of a change. What cannot be saved now is held until `again()`.
 */
export class Saving {
  constructor(api, on) {
    this.api = api;
    this.on = on;
    this.profile = null;
    this.changes = [];
    this.busy = false;
    this.tries = 0;
    this.timer = 0;
    this.undo = null;
  }

  /** What the user decided, saved or not yet. */
  get edits() {
    return this.changes.reduce((edits, change) => change.make(edits), this.profile.edits);
  }

  async open() {
    this.profile = await this.api.show();
    this.on.shown();
  }

  add(change) {
    const last = this.changes.at(-1);
    const sending = this.busy && this.changes.length === 1;
    if (last && change.key && last.key === change.key && !sending) this.changes.pop();
    this.changes.push(change);
    this.on.shown();
    return this.again();
  }

  /** Takes up again what is held. */
  async again() {
    clearTimeout(this.timer);
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.changes.length) if (!(await this.#save(this.changes[0]))) break;
    } finally {
      this.busy = false;
    }
  }

  async #save(change) {
    const { edits, persona } = this.profile;
    const sent = difference(edits, change.make(edits));
    if (!sent && !change.erase) return this.#done(change);
    this.on.saving();
    try {
      await (change.erase ? this.#erase() : this.#edit(change, sent));
    } catch (refused) {
      if (!(refused instanceof Refused)) throw refused;
      return this.#refused(change, refused);
    }
    this.#done(change);
    this.on.saved(change, persona.text !== this.profile.persona.text);
    return true;
  }

  async #edit(change, sent) {
    const before = this.profile.edits;
    this.profile = await this.api.edit(sent, this.profile.version);
    const taken = { said: `Taken back: ${change.said}`, back: change.said };
    const again = { said: change.back };
    this.undo = { ...(change.back ? again : taken), make: reverting(before, this.profile.edits) };
  }

  /** A link ends with the profile that it opened: then nothing can be asked for any more. */
  async #erase() {
    await this.api.erase();
    const { persona } = this.profile;
    const empty = { ...persona, text: "", tokens: 0, warnings: [] };
    const erased = { ...this.profile, version: 0, persona: empty, lines: [], edits: NONE };
    this.profile = await this.api.show().catch(() => erased);
    this.undo = null;
  }

  #done(change) {
    this.tries = 0;
    this.changes = this.changes.filter((other) => other !== change);
    this.on.shown();
    return true;
  }

  async #refused(change, refused) {
    if (refused.status === 409) return this.#conflict();
    if (refused.status === 401 || refused.passing) {
      if (refused.passing) this.#later(refused.wait);
      this.on.held(refused);
      return false;
    }
    this.#done(change);
    this.on.refused(change, refused);
    return true;
  }

  /** Shows the newest; what is not in it already is the user's to decide on again. */
  async #conflict() {
    try {
      this.profile = await this.api.show();
    } catch (refused) {
      if (!(refused instanceof Refused)) throw refused;
      this.#later(refused.wait);
      this.on.held(refused);
      return false;
    }
    const { edits } = this.profile;
    const waiting = this.changes.filter((change) => change.erase || difference(edits, change.make(edits)));
    this.changes = [];
    this.undo = null;
    this.on.shown();
    if (waiting.length) this.on.conflict(waiting);
    return true;
  }

  #later(wait) {
    const pause = RETRY_MS[Math.min(this.tries++, RETRY_MS.length - 1)];
    this.timer = setTimeout(() => this.again(), Math.max(wait, pause));
  }
}

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
