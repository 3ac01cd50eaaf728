// The way to the server, and what has been said but is not known to be stored yet. Must not know the page.

import { gettext } from "./words.js";

const TIMEOUT = 15_000; // milliseconds
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 30_000;
const DRAFTS = 40;
const DATABASE = "margin";
const STORE = "outbox";

// No answer, or one that is not the server's own: a proxy's page, a hotel's sign-in page.
export class Unreachable extends Error {}

const token = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";

function optionsOf(annotator, method, body, signal) {
  // Every request names the person for whom this page was opened, so that nothing is stored as somebody else's
  // after a change of hands.
  const headers = { Accept: "application/json", "X-Margin-Annotator": annotator };
  // Read each time: signing in again, in another tab perhaps, changes it.
  if (body) Object.assign(headers, { "Content-Type": "application/json", "X-CSRFToken": token() });
  return { method, headers, redirect: "error", signal, body: body && JSON.stringify(body) };
}

const isJson = (response) => /^application\/(problem\+)?json/.test(response.headers.get("Content-Type") ?? "");

// Returns call(method, url, body) -> {status, data}.
export function makeApi(annotator) {
  return async (method, url, body) => {
    try {
      const response = await fetch(url, optionsOf(annotator, method, body, AbortSignal.timeout(TIMEOUT)));
      if (!isJson(response)) throw new Error("not ours");
      return { status: response.status, data: await response.json() };
    } catch (cause) {
      throw new Unreachable("no answer", { cause });
    }
  };
}

// Returns stream(url, body, signal), which yields the objects of an answer that comes line by line. A refusal
// before the first line is yielded as {problem}.
export function makeStream(annotator) {
  return async function* (url, body, signal) {
    const response = await fetch(url, optionsOf(annotator, "POST", body, signal));
    if (isJson(response)) return yield { problem: await response.json() };
    let rest = "";
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) {
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line.trim()) yield JSON.parse(line);
    }
  };
}

// crypto.randomUUID is missing on pages that came over plain HTTP.
export function newUid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const hex = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0"));
  return hex.join("").replace(/^(.{8})(.{4}).(.{3}).(.{3})/, "$1-$2-4$3-8$4-");
}

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

// Entries in IndexedDB, so that they survive a reload or a crash; they leave in the order in which they came.
class Kept {
  durable = true;

  constructor(db) {
    this.db = db;
  }

  #store(mode) {
    return this.db.transaction(STORE, mode, { durability: "strict" }).objectStore(STORE);
  }

  async add(entry) {
    const store = this.#store("readwrite");
    store.add(entry);
    // Only a finished transaction is on the disk.
    return new Promise((resolve, reject) => {
      store.transaction.oncomplete = resolve;
      store.transaction.onabort = () => reject(store.transaction.error);
    });
  }

  list = () => done(this.#store("readonly").getAll());
  remove = (id) => done(this.#store("readwrite").delete(id));
}

// Where a browser keeps nothing, the page itself holds the entries; `durable` tells the page to say so.
class Held {
  durable = false;
  #entries = new Map();
  #last = 0;

  add = async (entry) => void this.#entries.set(++this.#last, { ...entry, id: this.#last });
  list = async () => [...this.#entries.values()];
  remove = async (id) => this.#entries.delete(id);
}

// The outbox of one person; others who used this browser have theirs.
export async function openOutbox(owner) {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id", autoIncrement: true });
  const box = await done(request).then((db) => new Kept(db), () => new Held());
  return {
    durable: box.durable,
    add: (entry) => box.add({ ...entry, owner }),
    list: async () => (await box.list()).filter((entry) => entry.owner === owner),
    remove: (id) => box.remove(id),
  };
}

// What a person has begun on pairs and prompts and not yet sent, in this browser; the oldest are forgotten.
export function openDrafts(owner) {
  const name = `margin-drafts-${owner}`;
  const read = () => { try { return JSON.parse(localStorage.getItem(name)) ?? {}; } catch { return {}; } };
  const write = (drafts) => {
    const newest = Object.entries(drafts).slice(-DRAFTS);
    try { localStorage.setItem(name, JSON.stringify(Object.fromEntries(newest))); } catch { /* this page alone, then */ }
  };
  const without = (key) => Object.fromEntries(Object.entries(read()).filter(([other]) => other !== key));
  return {
    get: (key) => read()[key],
    keep: (key, draft) => write({ ...without(key), [key]: draft }),
    drop: (key) => write(without(key)),
  };
}

// What keeps everything back until the person acts; "" for an answer about this one entry.
export function hindrance({ status, data }) {
  if (status === 401) return data.code === "other-person" ? "other-person" : "signed-out";
  if (status === 403) return data.code === "csrf" ? "stale" : "forbidden";
  return status >= 500 || [408, 425, 429].includes(status) ? "trouble" : "";
}

export const reasonOf = (problem) => problem?.detail ?? gettext("The server did not say why.");

// Empties the outbox: one entry at a time, the oldest first, again and again until the server has it.
export class Sender {
  busy = false;
  settled = 0; // entries that have left the outbox
  #again = false;
  #timer;
  #wait = FIRST_WAIT;

  // Hooks: changed(state, entries that wait); stored(entry, answer) and refused(entry, problem), before it is dropped.
  // States: "clear", "sending", "offline", "trouble", "signed-out", "other-person", "stale", "forbidden".
  constructor(outbox, api, hooks) {
    Object.assign(this, { outbox, api, hooks });
    addEventListener("online", () => this.kick());
    document.addEventListener("visibilitychange", () => document.hidden || this.kick());
  }

  // Returns once everything is sent, or nothing more can be sent now.
  async kick() {
    this.#again = true;
    if (this.busy) return this.flushed;
    this.busy = true;
    this.flushed = this.#run().finally(() => { this.busy = false; });
    return this.flushed;
  }

  async #run() {
    let outcome;
    while (this.#again) {
      this.#again = false;
      outcome = await this.#exclusively(() => this.#flush());
    }
    // Not busy any more when the hooks ask.
    this.busy = false;
    this.#settle(outcome);
  }

  // Two tabs share the outbox. The server would take a double as one; the lock saves the second request.
  #exclusively(work) {
    return navigator.locks ? navigator.locks.request("margin-outbox", work) : work();
  }

  async #flush() {
    for (;;) {
      const entries = await this.outbox.list();
      if (!entries.length) return { state: "clear", entries };
      this.hooks.changed("sending", entries);
      const state = await this.#send(entries[0], entries);
      if (state) return { state, entries };
    }
  }

  // Returns the state that stops the flush, or "" to go on with the next entry.
  async #send(entry, entries) {
    const answer = await this.api("POST", entry.url, entry.body).catch(() => null);
    if (!answer) return "offline";
    if (answer.status >= 300) {
      const state = hindrance(answer);
      if (state) return state;
      await this.#drop(entry, entries, answer.data);
    } else this.hooks.stored(entry, answer.data);
    await this.outbox.remove(entry.id);
    this.settled += 1;
    this.#wait = FIRST_WAIT;
    return "";
  }

  // An entry that can never succeed. Where it was to be taken back anyway, that goes with it and nothing was lost.
  async #drop(entry, entries, problem) {
    const undone = entries.filter((later) => later.undoes === entry.body.uid);
    for (const later of undone) await this.outbox.remove(later.id);
    if (!undone.length) this.hooks.refused(entry, problem);
  }

  #settle({ state, entries }) {
    clearTimeout(this.#timer);
    this.hooks.changed(state, entries);
    if (state === "clear") return;
    this.#timer = setTimeout(() => this.kick(), this.#wait);
    this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT);
  }
}
