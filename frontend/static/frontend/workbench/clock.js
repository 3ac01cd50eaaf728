// Time on a pair: only while the page can be seen.

export class Clock {
  #kept = 0;
  #since = null;

  constructor() {
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#pause() : this.#run()));
  }

  // `kept` is what an earlier look at the same pair took, in milliseconds.
  restart(kept = 0) {
    this.#kept = kept;
    this.#since = document.hidden ? null : performance.now();
  }

  read() {
    return Math.round(this.#kept + (this.#since === null ? 0 : performance.now() - this.#since));
  }

  #run() {
    this.#since ??= performance.now();
  }

  #pause() {
    this.#kept = this.read();
    this.#since = null;
  }
}
