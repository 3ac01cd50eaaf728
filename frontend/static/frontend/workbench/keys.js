// Keys for the whole page. They can be changed, and single keys switched off (WCAG 2.1.4), since speech input types
// them too.

const SETTING = "margin-keys";
const $ = (id) => document.getElementById(id);
const OWN_ENTER = "a, button, summary, input, textarea, select";
const OWN_ARROWS = "input, pre, .table, .maths, [contenteditable]";

export const DEFAULTS = {
  "choose-1": "1", "choose-2": "2", "choose-3": "3", "choose-4": "4",
  "choose-5": "5", "choose-6": "6", "choose-7": "7", "choose-8": "8",
  previous: "ArrowLeft", next: "ArrowRight",
  "safety-1": "a", "safety-2": "s", "safety-3": "d",
  submit: "Enter", undo: "u", comment: "c", skip: "k", flag: "x",
  guidelines: "g", difference: "w", help: "?",
};
const SHOWN = { Enter: "⏎", ArrowLeft: "←", ArrowRight: "→" };
export const shown = (key) => SHOWN[key] ?? key;

const isOn = () => { try { return localStorage.getItem(SETTING) !== "off"; } catch { return true; } };

// The key as it can be bound; on layouts that type digits with Shift, the place of the digit counts.
export function keyOf(event, bound) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return bound[key] ? key : event.code.match(/^Digit([1-8])$/)?.[1] ?? key;
}

export class Keys {
  #bound = {}; // key -> action

  // `acts`: action -> function; `mode()` names the actions that make sense now, or null for all.
  constructor(acts, mode) {
    $("keys-on").checked = isOn();
    $("keys-on").addEventListener("change", (event) => {
      try { localStorage.setItem(SETTING, event.target.checked ? "on" : "off"); } catch { /* until the page is left */ }
    });
    document.addEventListener("keydown", (event) => this.#pressed(event, acts, mode));
  }

  bind(changed = {}) {
    this.all = { ...DEFAULTS, ...changed };
    this.#bound = Object.fromEntries(Object.entries(this.all).map(([action, key]) => [key, action]));
    for (const hint of document.querySelectorAll("kbd[data-action]")) hint.textContent = shown(this.all[hint.dataset.action]);
  }

  #pressed(event, acts, mode) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing) return;
    if (document.querySelector("dialog[open]") || event.target.closest("textarea, select, [type=text], [type=search]")) return;
    const key = keyOf(event, this.#bound);
    const action = this.#bound[key];
    if (!action || (key !== "Enter" && !$("keys-on").checked)) return;
    if (key === "Enter" && event.target.closest(OWN_ENTER) && event.target.type !== "radio") return;
    if (key.startsWith("Arrow") && event.target.closest(OWN_ARROWS)) return;
    const possible = mode();
    if (possible && !possible.includes(action)) return;
    event.preventDefault();
    acts[action]();
  }
}
