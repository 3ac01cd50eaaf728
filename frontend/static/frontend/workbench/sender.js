// Empties the outbox: one entry at a time, the oldest first, again and again until the server has it.

const FIRST_WAIT = 1_000; // milliseconds
const LONGEST_WAIT = 30_000;

// What keeps everything back until the person acts; "" for an answer about this one entry.
export function hindrance({ status, data }) {
  if (status === 401) return data.code === "other-person" ? "other-person" : "signed-out";
  if (status === 403) return data.code === "csrf" ? "stale" : "forbidden";
  return status >= 500 || [408, 425, 429].includes(status) ? "trouble" : "";
}

export class Sender {
  busy = false;
  settled = 0; // entries that have left the outbox
  #again = false;
  #timer;
  #wait = FIRST_WAIT;

  // Hooks: changed(state, entries that wait) and refused(entry, problem), which come before the entry is dropped.
  // States: "clear", "sending", "offline", "trouble", "signed-out", "other-person", "stale", "forbidden".
  constructor(outbox, api, hooks) {
    Object.assign(this, { outbox, api, hooks });
    addEventListener("online", () => this.kick());
    document.addEventListener("visibilitychange", () => document.hidden || this.kick());
  }

  async kick() {
    this.#again = true;
    if (this.busy) return;
    this.busy = true;
    let outcome;
    try {
      while (this.#again) {
        this.#again = false;
        outcome = await this.#exclusively(() => this.#flush());
      }
    } finally {
      this.busy = false;
    }
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
    }
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
