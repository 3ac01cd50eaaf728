// What is on the page. Knows elements and words; must not know the network.

import { gettext, ngettext } from "./words.js";

const $ = (id) => document.getElementById(id);
const numbers = new Intl.NumberFormat();
let isScrolled = false;
addEventListener("scroll", () => { isScrolled = true; }, { passive: true });
const prepared = new WeakMap(); // pair -> its parts, ready to be put in place

export function element(tag, text = "", options = {}) {
  return Object.assign(document.createElement(tag), { textContent: text }, options);
}

// The only place where HTML goes in: it was rendered and cleaned by the server (annotation/rendering.py).
export function fragment(html) {
  const box = document.createElement("template");
  box.innerHTML = html;
  return box.content;
}

// Does the work of showing a pair before it is wanted.
export function prepare(item) {
  if (!prepared.has(item)) {
    prepared.set(item, {
      turns: item.turns.slice(0, -1).map(turnElement),
      prompt: fragment(item.turns.at(-1).html),
      left: fragment(item.left.html),
      right: fragment(item.right.html),
    });
  }
  return prepared.get(item);
}

export function showPair(item) {
  const parts = prepare(item);
  prepared.delete(item); // a fragment is empty once it is shown
  showPlace(item);
  $("earlier").hidden = !parts.turns.length;
  $("earlier").open = false;
  $("earlier-words").textContent = ngettext("{n} earlier message", "{n} earlier messages", parts.turns.length);
  $("earlier-turns").replaceChildren(...parts.turns);
  for (const id of ["prompt", "left", "right"]) $(id).replaceChildren(parts[id]);
  showBench({ busy: false });
}

export function bringIntoView() {
  // Asking where the page stands would lay it out at once.
  if (isScrolled) scrollTo({ top: 0, behavior: "instant" });
  isScrolled = false;
  $("prompt-title").focus({ preventScroll: true });
}

export function showPlace({ batch, focus }) {
  const words = focus === "safety" ? gettext("Safety") : gettext("Helpfulness");
  $("place").replaceChildren(element("span", `${batch} · `, { className: "less" }), words);
  $("place").classList.toggle("warns", focus === "safety");
}

export function turnElement(turn) {
  const roles = { user: gettext("You"), assistant: gettext("Assistant"), system: gettext("Instruction") };
  const box = element("div", "", { className: `turn ${turn.role}` });
  const text = element("div", "", { className: "text" });
  text.append(fragment(turn.html));
  box.append(element("h3", roles[turn.role] ?? turn.role), text);
  return box;
}

// The beginning of a pair's prompt, to tell one from another; nothing of a covered one.
export function about() {
  const text = $("pair").hidden ? "" : $("prompt").textContent.trim().replace(/\s+/g, " ");
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

const SECTIONS = ["rest", "pair", "judgment", "cover", "composer"];

// One of the page's states: which of its sections can be seen.
export function showOnly(...ids) {
  for (const id of SECTIONS) $(id).hidden = !ids.includes(id);
}

// The bench, filled or still waiting for its pair.
export function showBench({ busy }) {
  if (busy) for (const id of ["prompt", "left", "right"]) $(id).replaceChildren();
  showOnly("pair", "judgment");
  $("pair").classList.toggle("waiting", busy);
  $("pair").ariaBusy = String(busy);
}

// A pair that may upset stands ready behind a cover.
export function showCover() {
  showOnly("cover");
  $("cover-title").focus();
}

export function showRest(title, words) {
  const isNew = $("rest").hidden;
  showOnly("rest");
  $("rest-title").textContent = title;
  $("rest-words").textContent = words;
  if (isNew) $("rest-title").focus();
}

export function showCount({ today, target, waiting, pending }) {
  const number = (n) => numbers.format(Math.max(0, n));
  const done = target ? gettext("{n} of {target} today", { n: number(today), target: number(target) }) : gettext("{n} today", { n: number(today) });
  const left = element("span", ` · ${gettext("{n} waiting", { n: number(waiting) })}`, { className: "less" });
  $("count").replaceChildren(done, left, pending ? ` · ${gettext("{n} unsent", { n: number(pending) })}` : "");
  $("target").hidden = !target;
  if (target) Object.assign($("target"), { max: target, value: Math.min(today, target) });
}

// One notice a key; null takes it away. A notice that tells of a loss stays until it is put away.
export function notice(key, words, { mood = "", link = null, action = null, closes = false } = {}) {
  const id = `notice-${key}`;
  const old = $(id);
  if (words === null) return old?.remove();
  if (old?.firstChild.textContent === words) return;
  const box = element("div", "", { id, className: `notice ${mood}` });
  const button = (text, onclick) => element("button", text, { type: "button", className: "quiet", onclick });
  box.append(element("p", words));
  if (link) box.append(element("a", link.words, { href: link.href }));
  if (action) box.append(button(action.words, () => { box.remove(); action.act(); }));
  if (closes) box.append(button(gettext("Close"), () => box.remove()));
  old ? old.replaceWith(box) : $("notices").append(box);
}

const kept = (n, durable) =>
  durable
    ? ngettext("Your judgment is kept here and will be sent.", "Your {n} judgments are kept here and will be sent.", n)
    : ngettext("Your judgment is kept on this page alone: leave it open.", "Your {n} judgments are kept on this page alone: leave it open.", n);

const STATES = {
  offline: () => [gettext("You are offline.")],
  trouble: () => [gettext("The server cannot answer just now.")],
  forbidden: () => [gettext("Your account may not rate any more. Ask an administrator.")],
  stale: () => [gettext("This page is too old to send."), gettext("Reload")],
  "signed-out": () => [gettext("You are signed out."), gettext("Sign in again")],
  "other-person": () => [gettext("Somebody else is signed in now."), gettext("Sign in as yourself")],
};

// The state of the connection in a sentence; `pending` judgments wait for it.
export function connection(state, pending, { durable, signIn }) {
  if (state === "clear") notice("connection", null);
  if (!(state in STATES)) return;
  const [words, link] = STATES[state]();
  const href = state === "stale" ? location.href : signIn;
  notice("connection", pending ? `${words} ${kept(pending, durable)}` : words, { link: link && { words: link, href } });
}
