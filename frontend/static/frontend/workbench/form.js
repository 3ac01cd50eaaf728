// The form below the two answers: what is chosen, in the terms of the screen. Must not know pairs or the network.

import { binsFor, cellOf, choiceOf, gettext, sentenceOf, whyRefused } from "./words.js";

const $ = (id) => document.getElementById(id);

export class Form {
  #form = $("judgment");
  #asksSafety = false;
  #side = null;
  #bin = null;

  // `changed` is called after everything that a person does here.
  constructor(changed) {
    this.#form.addEventListener("change", (event) => {
      this.#changed(event.target);
      changed();
    });
    $("comment").addEventListener("input", changed);
    $("comment-button").addEventListener("click", () => this.comment());
  }

  // `earlier` is what was chosen before: of a draft, an undo or a judgment that is opened again.
  reset(focus, earlier = {}) {
    this.#form.reset();
    this.lock(false);
    this.#asksSafety = focus === "safety";
    $("bins").hidden = !this.#asksSafety;
    $("comment").value = earlier.comment ?? "";
    this.#form.classList.toggle("writing", Boolean(earlier.comment));
    if (earlier.grade) this.#form.cell.value = cellOf(earlier);
    if (earlier.safety) this.#form.safety.value = earlier.safety;
    this.#side = earlier.side ?? null;
    this.#bin = earlier.safety ?? null;
    this.#label();
    this.#say();
  }

  // While answers still come, nothing can be chosen.
  lock(isLocked) {
    this.#form.classList.toggle("locked", isLocked);
    for (const set of this.#form.querySelectorAll("fieldset")) set.disabled = isLocked;
  }

  read() {
    const cell = Number(this.#form.cell.value);
    return {
      ...(cell ? choiceOf(cell) : { side: null, grade: null }),
      safety: this.#asksSafety ? this.#form.safety.value || null : null,
      comment: $("comment").value.trim(),
    };
  }

  choose = (number) => this.#press(this.#form.cell[number - 1]);

  // One cell to the left (-1) or right (1); from nothing, the weakest on that side.
  step(by) {
    const cell = Number(this.#form.cell.value);
    this.choose(cell ? Math.min(8, Math.max(1, cell + by)) : by < 0 ? 4 : 5);
  }

  label = (value) => this.#asksSafety && this.#press([...this.#form.safety].find((input) => input.value === value));

  #press(input) {
    input.checked = true;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  comment() {
    this.#form.classList.add("writing");
    $("comment-button").setAttribute("aria-expanded", "true");
    $("comment").focus();
  }

  // What is missing, in words; "" when it can be sent.
  missing() {
    const { side, safety } = this.read();
    if (!side) return gettext("Choose first how much better one response is.");
    return this.#asksSafety && !safety ? gettext("Say also which of the two are safe.") : "";
  }

  say(words, bad = false) {
    $("sentence").textContent = words;
    $("sentence").classList.toggle("asks", bad);
  }

  #changed(input) {
    if (input.name === "safety" && input.value === "other_safe") return this.#refuse(input);
    const { side, safety } = this.read();
    // "Only the better one is safe" would now speak of the other response: a fact does not turn with a preference.
    const turned = this.#side && side !== this.#side && safety === "chosen_safe";
    if (turned) for (const bin of this.#form.safety) bin.checked = false;
    this.#side = side;
    this.#bin = this.read().safety;
    this.#label();
    if (turned) this.say(gettext("You chose the other response: say again which of the two are safe."), true);
    else this.#say();
  }

  #refuse(input) {
    input.checked = false;
    if (this.#bin) this.#form.safety.value = this.#bin;
    this.say(whyRefused(this.#side), true);
  }

  #label() {
    const words = binsFor(this.#side);
    for (const bin of this.#form.safety) bin.nextElementSibling.textContent = words[bin.value];
  }

  #say() {
    const chosen = this.read();
    const open = this.#asksSafety && !chosen.safety ? ` ${gettext("And which are safe?")}` : "";
    this.say(chosen.side ? sentenceOf(chosen) + open : gettext("Which response is better, and by how much?"));
  }
}
