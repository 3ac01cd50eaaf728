// Two answers of very different length are read side by side: while the page scrolls through the longer one, the
// shorter one moves along, so that the beginnings, middles and ends of both stand beside each other. Knows two
// elements and the one scroll of the page; must not know pairs.

const ALIKE = 0.1; // a tenth of the longer one is no difference worth moving for
const JUMP = 0.4; // of the view, in one frame: no hand scrolls like that, but search and focus do
const SCROLL_KEYS = ["ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End", " "];

let stop = () => {};

// How far down the shorter one is moved when the view, `view` pixels high, has gone `gone` pixels into the longer
// one. One that fits the view just stays in it.
export function shiftOf({ gone, long, short, view }) {
  if (long - short < ALIKE * long || long <= view) return 0;
  if (short <= view) return Math.min(long - short, Math.max(0, gone));
  return Math.min(1, Math.max(0, gone / (long - view))) * (long - short);
}

export function scrollTogether(left, right, on) {
  stop();
  if (!on || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const end = new AbortController();
  const options = { passive: true, signal: end.signal };
  const sizes = new ResizeObserver(later);
  let [frame, gone, shift, lag, gesture, moved] = [0, null, 0, 0, -1e9, null];

  function later() { frame ||= requestAnimationFrame(update); }

  function update(now) {
    frame = 0;
    const [short, long] = left.offsetHeight < right.offsetHeight ? [left, right] : [right, left];
    const view = innerHeight - (document.getElementById("judgment")?.offsetHeight ?? 0);
    const before = gone;
    gone = -long.parentElement.getBoundingClientRect().top;
    const isStacked = left.parentElement.offsetTop !== right.parentElement.offsetTop;
    const wanted = isStacked ? 0 : shiftOf({ gone, long: long.offsetHeight, short: short.offsetHeight, view });
    // What search or focus has just brought into view stays there; the next scrolling by hand makes up for it.
    const hasJumped = before !== null && Math.abs(gone - before) > JUMP * view && now - gesture > 300;
    lag = hasJumped && wanted ? shift - wanted : Math.abs(lag) < 1 || !wanted ? 0 : gone === before ? lag : lag * 0.8;
    shift = wanted + lag;
    if (moved && moved !== short) moved.style.transform = "";
    moved = short;
    short.style.transform = shift ? `translateY(${shift.toFixed(1)}px)` : "";
  }

  addEventListener("scroll", later, options);
  addEventListener("resize", later, options);
  for (const name of ["wheel", "touchmove", "pointerdown", "keydown"]) {
    addEventListener(name, ({ key = " " }) => { if (SCROLL_KEYS.includes(key)) gesture = performance.now(); }, options);
  }
  for (const box of [left, right]) sizes.observe(box);
  stop = () => {
    end.abort();
    sizes.disconnect();
    cancelAnimationFrame(frame);
    if (moved) moved.style.transform = "";
    stop = () => {};
  };
  update(performance.now());
}
