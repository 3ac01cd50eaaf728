// The person at the screen: time on a pair, the reminder to rest, texts that may upset. Must not know the network.

const IDLE = 60_000; // milliseconds without a sign of life after which nobody is at work
const REST = 300_000; // as long away from the page is a break
const ACTIVITY = ["pointermove", "pointerdown", "keydown", "scroll", "wheel"];
const WORKED = "margin-worked";

const stored = () => { try { return Number(sessionStorage.getItem(WORKED)) || 0; } catch { return 0; } };

// Active time: while the page can be seen and somebody moves, types or scrolls; thinking counts up to IDLE.
export class Clock {
  worked = stored(); // milliseconds since the last break
  #kept = 0;
  #last = performance.now();
  #seen = !document.hidden;

  constructor() {
    document.addEventListener("visibilitychange", () => this.#tick());
    for (const name of ACTIVITY) addEventListener(name, () => this.#tick(), { passive: true, capture: true });
  }

  // `kept` is what an earlier look at the same pair took, in milliseconds.
  restart(kept = 0) {
    this.#tick();
    this.#kept = kept;
  }

  read() {
    this.#tick();
    return Math.round(this.#kept);
  }

  // Whether it is time to rest; says so once after every `minutes` of work.
  isDue(minutes) {
    try { sessionStorage.setItem(WORKED, this.worked); } catch { /* counts from the next reload on */ }
    if (!minutes || this.worked < minutes * 60_000) return false;
    this.worked = 0;
    return true;
  }

  #tick() {
    const now = performance.now();
    const gap = now - this.#last;
    this.#last = now;
    if (gap > REST) this.worked = 0;
    if (this.#seen) {
      this.#kept += Math.min(gap, IDLE);
      this.worked += Math.min(gap, IDLE);
    }
    this.#seen = !document.hidden;
  }
}
