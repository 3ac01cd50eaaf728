// The time that is left of a test, counted down. When it is up, what stands in the form is saved: the server takes it
// for half a minute more.

const clock = document.querySelector("[data-seconds-left]");
const shown = clock?.querySelector("[data-left]");
const said = clock?.querySelector("[data-said]");
// The clock of the wall, which goes on while a machine sleeps.
const end = Date.now() + Number(clock?.dataset.secondsLeft) * 1000;
const two = (number) => String(number).padStart(2, "0");

function tick() {
  const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
  const hours = Math.floor(left / 3600);
  const minutes = Math.floor(left / 60) % 60;
  shown.textContent = hours ? `${hours}:${two(minutes)}:${two(left % 60)}` : `${minutes}:${two(left % 60)}`;
  clock.toggleAttribute("data-short", left <= 300);
  if (left <= 60) said.textContent = said.dataset.one;
  else if (left <= 300) said.textContent = said.dataset.five;
  if (left > 0) return;
  clearInterval(timer);
  const form = document.querySelector("form[data-timed]");
  if (form) form.requestSubmit();
  else location.reload();
}

let timer;
if (clock) {
  shown.hidden = false;
  timer = setInterval(tick, 1000);
  tick();
}
