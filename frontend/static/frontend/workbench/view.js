// What is on the page. Knows elements and words; must not know the network.

import { many } from "./words.js";

const $ = (id) => document.getElementById(id);
const ROLES = { user: "You", assistant: "Assistant", system: "Instruction" };

function element(tag, text = "", options = {}) {
  return Object.assign(document.createElement(tag), { textContent: text }, options);
}

// The only place where HTML goes in: it was rendered and cleaned by the server (annotation/rendering.py).
const fill = (box, html) => Object.assign(box, { innerHTML: html });

export function showPair(item) {
  const earlier = item.turns.slice(0, -1);
  const focus = item.focus[0].toUpperCase() + item.focus.slice(1);
  $("place").replaceChildren(element("span", `${item.batch} · `, { className: "less" }), focus);
  $("guidelines-link").hash = item.focus;
  $("earlier").hidden = !earlier.length;
  $("earlier").open = false;
  $("earlier").firstElementChild.textContent = many(earlier.length, "earlier message");
  $("earlier-turns").replaceChildren(...earlier.map(turnElement));
  fill($("prompt"), item.turns.at(-1).html);
  fill($("left"), item.left.html);
  fill($("right"), item.right.html);
  showBench({ busy: false });
  scrollTo({ top: 0, behavior: "instant" });
  $("prompt-title").focus({ preventScroll: true });
}

function turnElement(turn) {
  const box = element("div", "", { className: `turn ${turn.role}` });
  box.append(element("h3", ROLES[turn.role] ?? turn.role), fill(element("div", "", { className: "text" }), turn.html));
  return box;
}

// The beginning of the prompt on the screen, to tell one pair from another.
export function about() {
  const text = $("prompt").textContent.trim().replace(/\s+/g, " ");
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

// The bench, filled or still waiting for its pair.
export function showBench({ busy }) {
  if (busy) for (const id of ["prompt", "left", "right"]) $(id).replaceChildren();
  $("rest").hidden = true;
  $("pair").hidden = $("judgment").hidden = false;
  $("pair").classList.toggle("waiting", busy);
  $("pair").ariaBusy = String(busy);
}

export function showRest(title, words) {
  const isNew = $("rest").hidden;
  $("pair").hidden = $("judgment").hidden = true;
  $("rest").hidden = false;
  $("rest-title").textContent = title;
  $("rest-words").textContent = words;
  if (isNew) $("rest-title").focus();
}

export const undoButtons = () => document.querySelectorAll("[data-undo]");

export function canUndo(can) {
  for (const button of undoButtons()) button.disabled = !can;
}

export function showCount({ today, waiting, pending }) {
  const number = (n) => Math.max(0, n).toLocaleString("en");
  const left = element("span", ` · ${number(waiting)} waiting`, { className: "less" });
  $("count").replaceChildren(`${number(today)} today`, left, pending ? ` · ${number(pending)} unsent` : "");
}

// One notice a key; null takes it away. A notice that tells of a loss stays until it is put away.
export function notice(key, words, { bad = false, link = null, closes = false } = {}) {
  const id = `notice-${key}`;
  const old = $(id);
  if (words === null) return old?.remove();
  if (old?.firstChild.textContent === words) return;
  const box = element("div", "", { id, className: bad ? "notice bad" : "notice" });
  box.append(element("p", words));
  if (link) box.append(element("a", link.words, { href: link.href }));
  if (closes) box.append(element("button", "Close", { type: "button", className: "quiet", onclick: () => box.remove() }));
  old ? old.replaceWith(box) : $("notices").append(box);
}

const kept = (n, durable) => {
  const judgments = n === 1 ? "Your judgment is" : `Your ${many(n, "judgment")} are`;
  return durable ? `${judgments} kept here and will be sent.` : `${judgments} kept on this page alone: leave it open.`;
};

const STATES = {
  offline: ["You are offline."],
  trouble: ["The server cannot answer just now."],
  forbidden: ["Your account may not rate any more. Ask an administrator."],
  stale: ["This page is too old to send.", "Reload"],
  "signed-out": ["You are signed out.", "Sign in again"],
  "other-person": ["Somebody else is signed in now.", "Sign in as yourself"],
};

// The state of the connection in a sentence; `pending` judgments wait for it.
export function connection(state, pending, { durable, signIn }) {
  if (state === "clear") notice("connection", null);
  if (!(state in STATES)) return;
  const [words, link] = STATES[state];
  const href = state === "stale" ? location.href : signIn;
  notice("connection", pending ? `${words} ${kept(pending, durable)}` : words, { link: link && { words: link, href } });
}
