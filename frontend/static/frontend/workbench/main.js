// The workbench: the pair on the screen, those that come next, and what was just done.

import { Unreachable, makeApi, newUid } from "./api.js";
import { Clock } from "./clock.js";
import { Form } from "./form.js";
import { listen } from "./keys.js";
import { openOutbox } from "./outbox.js";
import { Sender, hindrance } from "./sender.js";
import * as view from "./view.js";
import { many, sentenceOf } from "./words.js";

const AHEAD = 3; // pairs that lie ready behind the one on the screen
const REMEMBERED = 20; // how far back undo goes
const AGAIN = 3_000; // milliseconds until the next try

const { annotator, next, judgments, signIn, guidelineHelpfulness, guidelineSafety } =
  document.getElementById("bench").dataset;
const guideline = { helpfulness: Number(guidelineHelpfulness) || null, safety: Number(guidelineSafety) || null };
const api = makeApi(annotator);
const outbox = await openOutbox(annotator);
const form = new Form();
const clock = new Clock();
const count = { today: 0, waiting: 0, pending: 0 };
let current = null;
let ahead = [];
let past = []; // {item, body} of what was submitted here, the newest last
let asking = false;
let submitting = false;

const sender = new Sender(outbox, api, { changed: connectionChanged, refused });

const connection = (state) => view.connection(state, count.pending, { durable: outbox.durable, signIn });

function connectionChanged(state, entries) {
  count.pending = toStore(entries).length;
  view.showCount(count);
  connection(state);
  if (state === "clear" && !current) ask();
}

function refused(entry, problem) {
  const reason = problem.detail ?? "The server did not say why.";
  const what = entry.undoes ? "Not taken back" : "Not stored";
  view.notice(`lost-${entry.body.uid}`, `${what}: ${entry.said} (“${entry.about}”). ${reason}`, { bad: true, closes: true });
  tally(entry.undoes ? 1 : -1);
  past = past.filter(({ body }) => body.uid !== entry.body.uid);
  if (problem.code === "batch-sealed") startOver();
}

// The week is over: what lies ready belongs to it.
function startOver() {
  ahead = [];
  past = [];
  advance();
}

// The judgments among entries that will not be taken back again.
const toStore = (entries) => {
  const undone = new Set(entries.map((entry) => entry.undoes));
  return entries.filter((entry) => !entry.undoes && !undone.has(entry.body.uid));
};
const later = () => setTimeout(ask, AGAIN);

// Ask for as many pairs as are missing, and say which ones this browser has already.
async function ask() {
  const wanted = AHEAD - ahead.length + (current ? 0 : 1);
  if (asking || wanted <= 0) return;
  asking = true;
  const { busy, settled } = sender;
  try {
    const unsent = toStore(await outbox.list());
    const skip = [...known(), ...unsent.map((entry) => entry.body.comparison)].slice(0, 200);
    const answer = await api("GET", `${next}?count=${wanted}&skip=${skip.join(",")}`);
    const state = answer.status === 200 ? "clear" : hindrance(answer) || "trouble";
    if (state !== "clear" || !count.pending) connection(state);
    // The server's counts are exact only where nothing was on its way meanwhile; else ours are.
    const isExact = !busy && !sender.busy && settled === sender.settled;
    if (state === "clear") receive(answer.data, isExact ? unsent.length : null);
    else later();
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    connection("offline");
    later();
  } finally {
    asking = false;
  }
}

const known = () => [...(current ? [current] : []), ...ahead].map((item) => item.key);

// `unsent` judgments are not in the server's counts; null: nobody can say.
function receive({ items, day }, unsent) {
  const here = new Set(known());
  ahead.push(...items.filter((item) => !here.has(item.key)));
  if (day && unsent !== null) {
    count.today = day.today + unsent;
    count.waiting = Object.values(day.waiting).reduce((sum, n) => sum + n, 0) - unsent;
    view.showCount(count);
  }
  if (!current && ahead.length) advance();
  else if (!current) rest(day);
}

function rest(day) {
  view.canUndo(past.length > 0);
  const done = many(count.today, "judgment");
  if (day?.open) view.showRest("Nothing waits for you now", `You have made ${done} today. New pairs appear as they are sampled, or when somebody gives one back.`);
  else view.showRest("This week is closed", `It takes no more judgments; you made ${done} today. The pairs of the next week will wait for you on your home page.`);
}

function show(item, earlier) {
  current = item;
  view.showPair(item);
  form.reset(item.focus, earlier);
  clock.restart(earlier?.active_ms);
  view.canUndo(past.length > 0);
}

function advance() {
  const item = ahead.shift();
  current = null;
  if (item) show(item);
  else view.showBench({ busy: true });
  ask();
}

async function submit() {
  if (!current || submitting) return;
  const missing = form.missing();
  if (missing) return form.say(missing, true);
  const item = current;
  const chosen = form.read();
  const body = { uid: newUid(), comparison: item.key, ...chosen, active_ms: clock.read(), guideline: guideline[item.focus] };
  const told = { said: sentenceOf(chosen).replace(/\.$/, ""), about: view.about() };
  submitting = true;
  const isKept = await outbox.add({ url: judgments, body, ...told }).catch(() => false);
  submitting = false;
  if (!isKept) return form.say("This browser could not keep the judgment. Free some disk space and press Enter again.", true);
  past = [...past.slice(1 - REMEMBERED), { item, body, told }];
  tally(1);
  advance();
  sender.kick();
}

// Undo is a further entry and never a deletion: the judgment may be on its way, or stored, already.
async function undo() {
  if (submitting || !past.length) return;
  const { item, body, told } = past.pop();
  if (current) ahead.unshift(current);
  show(item, body);
  form.say(`Taken back. You had said: ${sentenceOf(body)}`);
  tally(-1);
  await outbox.add({ url: `${judgments}/${body.uid}/retract`, body: { uid: newUid() }, undoes: body.uid, ...told });
  sender.kick();
}

function tally(n) {
  count.today += n;
  count.waiting -= n;
  view.showCount(count);
}

document.getElementById("judgment").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
for (const button of view.undoButtons()) button.addEventListener("click", undo);
document.getElementById("look-again").addEventListener("click", () => ask());
addEventListener("beforeunload", (event) => {
  if (count.pending && !outbox.durable) event.preventDefault();
});
listen({ form, submit, undo });
if (!outbox.durable) view.notice("storage", "This browser keeps nothing between pages: leave this one open until all is sent.");
await sender.kick();
ask();
