// Keys for the whole page. Single letters can be switched off (WCAG 2.1.4), since speech input types them too.

const SETTING = "margin-keys";
const $ = (id) => document.getElementById(id);
const RESTING = "u?"; // what still makes sense when no pair is shown
const OWN_ENTER = "a, button, summary, input, textarea, select";

const read = () => { try { return localStorage.getItem(SETTING) !== "off"; } catch { return true; } };

// The key's digit where digits stand, whatever the layout needs to type one.
const digit = (event) => (/^[1-8]$/.test(event.key) ? event.key : event.code.match(/^Digit([1-8])$/)?.[1]);

export function listen({ form, submit, undo }) {
  const help = $("help");
  const letters = {
    a: () => form.label("chosen_safe"),
    s: () => form.label("both_safe"),
    d: () => form.label("both_unsafe"),
    f: () => form.label("other_safe"),
    c: () => form.comment(),
    u: undo,
    "?": () => help.showModal(),
  };
  $("keys-on").checked = read();
  $("keys-on").addEventListener("change", (event) => {
    try { localStorage.setItem(SETTING, event.target.checked ? "on" : "off"); } catch { /* until the page is left */ }
  });
  $("help-button").addEventListener("click", () => help.showModal());
  $("comment").addEventListener("keydown", (event) => {
    if (event.key === "Escape") $("prompt-title").focus();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || help.open) return;
    if (event.target.closest("textarea, select")) return;
    if (event.key === "Enter" && !event.target.closest(OWN_ENTER)) return void submit();
    const number = digit(event);
    const act = number ? () => form.choose(Number(number)) : letters[event.key.toLowerCase()];
    if (!act || !$("keys-on").checked || ($("judgment").hidden && !RESTING.includes(event.key))) return;
    event.preventDefault();
    act();
  });
}
