// What opens beside or above a pair: the reasons for passing it on, the guidelines, the keys and settings, what was
// expected of a check. Loaded when it is first wanted.

import { newUid, reasonOf } from "./transport.js";
import { element, fragment, notice } from "./view.js";
import { gettext, sentenceOf } from "./words.js";
import { DEFAULTS, keyOf, shown } from "./keys.js";

const $ = (id) => document.getElementById(id);

// Opens the reasons, those of `kind` ("skip" or "flag") first in reach; then passOn(reason, said, comment).
export function askWhy(kind, passOn) {
  const dialog = $("pass");
  const buttons = [...dialog.querySelectorAll("[data-reason]")];
  const choose = (button) => {
    dialog.close();
    passOn(button.dataset.reason, button.dataset.said, $("pass-comment").value.trim());
  };
  $("pass-comment").value = "";
  for (const button of buttons) button.onclick = () => choose(button);
  dialog.onkeydown = (event) => {
    const at = event.target.matches("textarea") ? -1 : Number(keyOf(event, {})) - 1;
    if (!buttons[at] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    choose(buttons[at]);
  };
  dialog.showModal();
  dialog.querySelector(`[data-kind="${kind}"]`).focus();
}

// Says what was expected of a check, in a week that tells. `isLast`: nothing was said since.
export function showFeedback({ right, expected, reason }, { body, said, about }, isLast) {
  const label = sentenceOf({ ...expected, grade: expected.grade ?? "better" });
  const which = isLast ? gettext("The pair before was a check.") : gettext("The pair “{about}” was a check.", { about });
  const words = right ? gettext("You answered as expected.") : gettext("Expected: {label} You said: {said}.", { label, said });
  notice(`check-${isLast ? "last" : body.uid}`, [which, words, reason].join(" ").trim(), { mood: "calm", closes: true });
}

// Opens the guidelines of the pair's focus beside it, or closes them.
export async function showGuidelines(bench, outbox) {
  const panel = $("panel");
  if (!panel.hidden) return closePanel();
  const focus = bench.current()?.focus ?? "helpfulness";
  const answer = await bench.api("GET", `${bench.boot.urls.guidelines}/${focus}`).catch(() => null);
  if (answer?.status !== 200) return notice("panel", answer ? reasonOf(answer.data) : gettext("You are offline: the guidelines cannot be fetched now."), { closes: true });
  notice("panel", null);
  fillPanel(bench, focus, answer.data);
  $("panel-report").onsubmit = (event) => {
    event.preventDefault();
    report(bench, outbox, answer.data);
  };
  $("panel-close").onclick = closePanel;
  panel.onkeydown = (event) => event.key === "Escape" && closePanel();
  panel.hidden = false;
  document.body.classList.add("beside");
  $("panel-title").focus();
}

function closePanel() {
  $("panel").hidden = true;
  document.body.classList.remove("beside");
  $("prompt-title").focus({ preventScroll: true });
}

function fillPanel(bench, focus, rules) {
  $("panel-title").textContent = focus === "safety" ? gettext("Guidelines: safety") : gettext("Guidelines: helpfulness");
  $("panel-version").textContent = gettext("Version {n}", { n: rules.version });
  $("panel-text").replaceChildren(fragment(rules.html));
  $("panel-change").hidden = !rules.difference;
  if (rules.difference) {
    $("panel-since").textContent = gettext("What changed since version {n}", { n: rules.since });
    $("panel-difference").replaceChildren(fragment(rules.difference));
  }
  $("panel-read").hidden = rules.read;
  $("panel-read").onclick = () => confirmRead(bench, focus, rules.id);
  $("panel-said").textContent = "";
}

// From here on judgments name this version.
async function confirmRead(bench, focus, id) {
  const answer = await bench.api("POST", `${bench.boot.urls.guidelines}/${id}/read`, {}).catch(() => null);
  if (answer?.status !== 200) return void ($("panel-said").textContent = gettext("That was not stored. Try again when you are connected."));
  bench.boot.guidelines[focus] = { id, read: id };
  notice("guidelines", null);
  $("panel-read").hidden = true;
  closePanel();
}

async function report(bench, outbox, rules) {
  const text = $("panel-problem").value.trim();
  if (!text) return $("panel-problem").focus();
  const url = `${bench.boot.urls.guidelines}/${rules.id}/reports`;
  const body = { uid: newUid(), text, comparison: bench.current()?.key ?? null };
  await outbox.add({ kind: "report", url, body, said: gettext("your report on the guidelines"), about: text.slice(0, 60) });
  bench.sender.kick();
  $("panel-problem").value = "";
  $("panel-said").textContent = gettext("Thank you. Those who write the guidelines will read it.");
}

// The keys, each of which can be changed, and how the bench behaves.
export function showSettings(bench, align) {
  const { preferences } = bench.boot;
  $("blur").checked = preferences.blur;
  $("together").checked = preferences.together;
  $("break-minutes").value = preferences.break_minutes;
  $("help").onchange = () => {
    Object.assign(preferences, { blur: $("blur").checked, together: $("together").checked });
    preferences.break_minutes = Math.min(240, Math.max(0, Math.round(Number($("break-minutes").value)) || 0));
    save(bench);
    align();
  };
  for (const button of document.querySelectorAll("[data-change]")) {
    button.onclick = () => changeKey(bench, button);
  }
  $("keys-reset").onclick = () => bindKeys(bench, {});
  $("help-said").textContent = "";
  $("help").showModal();
}

function changeKey(bench, button) {
  const say = (words) => { $("help-said").textContent = words; };
  const action = button.dataset.change;
  say(gettext("Press the key for: {action}. Esc leaves it as it is.", { action: button.dataset.said }));
  button.classList.add("asks");
  button.onkeydown = (event) => {
    if (["Shift", "Control", "Alt", "Meta", "Tab"].includes(event.key)) return;
    event.preventDefault();
    button.onkeydown = null;
    button.classList.remove("asks");
    if (event.key === "Escape") return say("");
    const key = keyOf(event, {});
    const other = Object.keys(DEFAULTS).find((name) => bench.keys.all[name] === key && name !== action);
    if (key.length !== 1 && !["Enter", "ArrowLeft", "ArrowRight"].includes(key)) return say(gettext("That key cannot be used."));
    if (other) return say(gettext("{key} does something else already.", { key: shown(key) }));
    bindKeys(bench, { ...bench.boot.preferences.keys, [action]: key });
  };
}

function bindKeys(bench, keys) {
  bench.boot.preferences.keys = keys;
  bench.keys.bind(keys);
  save(bench);
}

async function save(bench) {
  const answer = await bench.api("POST", bench.boot.urls.preferences, bench.boot.preferences).catch(() => null);
  $("help-said").textContent = answer?.status === 200 ? gettext("Remembered.") : gettext("Not remembered: the server cannot be reached. It holds until you leave this page.");
}
