// The form below the two answers: what is chosen, in the terms of the screen.

import { binsFor, cellOf, choiceOf, sentenceOf, whyRefused } from "./words.js";

const $ = (id) => document.getElementById(id);

export class Form {
  #form = $("judgment");
  #asksSafety = false;
  #side = null;
  #bin = null;

  constructor() {
    this.#form.addEventListener("change", (event) => this.#changed(event.target));
    $("comment-button").addEventListener("click", () => this.comment());
  }

  // `earlier` is what was chosen before an undo.
  reset(focus, earlier = {}) {
    this.#form.reset();
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

  read() {
    const cell = Number(this.#form.cell.value);
    return {
      ...(cell ? choiceOf(cell) : { side: null, grade: null }),
      safety: this.#asksSafety ? this.#form.safety.value || null : null,
      comment: $("comment").value.trim(),
    };
  }

  choose(number) {
    this.#form.cell.value = String(number);
    this.#changed(this.#form.cell[number - 1]);
  }

  label(value) {
    if (!this.#asksSafety) return;
    this.#form.safety.value = value;
    this.#changed([...this.#form.safety].find((input) => input.value === value));
  }

  comment() {
    this.#form.classList.add("writing");
    $("comment-button").setAttribute("aria-expanded", "true");
    $("comment").focus();
  }

  // What is missing, in words; "" when it can be sent.
  missing() {
    const { side, safety } = this.read();
    if (!side) return "Choose first how much better one response is: keys 1 to 8.";
    return this.#asksSafety && !safety ? "Say also which of the two are safe: a, s or d." : "";
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
    if (turned) this.say("You chose the other response: say again which of the two are safe.", true);
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
    const open = this.#asksSafety && !chosen.safety ? " And which are safe?" : "";
    this.say(chosen.side ? sentenceOf(chosen) + open : "Which response is better, and by how much?");
  }
}
