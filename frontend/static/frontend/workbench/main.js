// The workbench: the pair on the screen, those that come next, and what was just done.

import { Clock } from "./care.js";
import { Form } from "./form.js";
import { Keys } from "./keys.js";
import { Sender, Unreachable, hindrance, makeApi, newUid, openDrafts, openOutbox, reasonOf } from "./transport.js";
import * as view from "./view.js";
import { gettext, ngettext, sentenceOf, speak } from "./words.js";

const READY = 3; // pairs behind the one on the screen that are rendered already
const AT_ONCE = 5; // pairs asked for in one request; more than are used up, so that the stock grows while one works
const REMEMBERED = 20; // how far back undo goes without asking the server
const AGAIN = 3_000; // milliseconds until the next try
const UNDER_COVER = ["submit", "skip", "undo", "guidelines", "help"];
const WITHOUT_PAIR = ["undo", "guidelines", "help"];

const $ = (id) => document.getElementById(id);
const boot = JSON.parse($("boot").textContent);
speak(boot.words);
const { urls, annotator, preferences } = boot;
const api = makeApi(annotator);
const outbox = await openOutbox(annotator);
const drafts = openDrafts(annotator);
const clock = new Clock();
const count = { today: 0, target: 0, waiting: 0, pending: 0 };
const form = new Form(() => current && drafts.keep(current.key, form.read()));
let stock = READY; // pairs that lie ready, for when the connection is lost
let current = null;
let ahead = [];
let past = []; // {item, body, entry} of what was said here, the newest last
const finished = new Set(); // keys of pairs that this page is done with, whatever an answer on its way still holds
let saved = Promise.resolve(); // once what was said last is in the outbox
let [asking, missed] = [false, false]; // missed: somebody wanted to ask meanwhile
let focusShown = null;
let comparing = null; // the module that marks differences, while they are marked

const sender = new Sender(outbox, api, { changed: connectionChanged, refused, stored: told });
const connection = (state) => view.connection(state, count.pending, { durable: outbox.durable, signIn: urls.signIn });
const panels = () => import("./panels.js");
const live = () => import("./live.js");
// What the parts that are loaded when they are wanted may use.
const bench = { boot, api, form, drafts, sender, clock, show, advance, putBack, current: () => current };

function connectionChanged(state, entries) {
  count.pending = toStore(entries).filter((entry) => entry.kind === "judgment").length;
  view.showCount(count);
  connection(state);
  if (state === "clear" && ahead.length < READY) ask();
}

function refused(entry, problem) {
  const what = entry.undoes ? gettext("Not taken back") : gettext("Not stored");
  const words = gettext("{what}: {said} (“{about}”). {reason}", { what, said: entry.said, about: entry.about, reason: reasonOf(problem) });
  view.notice(`lost-${entry.body.uid}`, words, { mood: "bad", closes: true });
  if (entry.kind !== "report") tally(entry, entry.undoes ? 1 : -1);
  past = past.filter(({ body }) => body.uid !== entry.body.uid);
  if (problem.code !== "batch-sealed") return;
  [ahead, past] = [[], []]; // they belong to the week that is over
  advance();
}

function told(entry, { feedback }) {
  if (feedback) panels().then((part) => part.showFeedback(feedback, entry, past.at(-1)?.body.uid === entry.body.uid));
}

// What is said among entries and will not be taken back again.
function toStore(entries) {
  const undone = new Set(entries.map((entry) => entry.undoes));
  return entries.filter((entry) => !entry.undoes && entry.kind !== "report" && !undone.has(entry.body.uid));
}

const known = () => [...(current ? [current] : []), ...ahead].map((item) => item.key);

// Ask for as many pairs as are missing, and say which ones this browser has already.
async function ask() {
  const wanted = Math.min(stock - ahead.length + (current ? 0 : 1), AT_ONCE);
  if (asking) missed = true;
  if (asking || wanted <= 0) return;
  asking = true;
  const [{ busy, settled }, last] = [sender, saved];
  try {
    await last;
    const unsent = toStore(await outbox.list());
    const skip = [...known(), ...unsent.map((entry) => entry.body.comparison)].slice(0, 200);
    const answer = await api("GET", `${urls.next}?count=${wanted}&skip=${skip.join(",")}`);
    const state = answer.status === 200 ? "clear" : hindrance(answer) || "trouble";
    if (state !== "clear" || !count.pending) connection(state);
    // The server's counts are exact only where nothing was on its way meanwhile; else ours are.
    const isExact = !busy && !sender.busy && settled === sender.settled && last === saved;
    if (state === "clear") receive(answer.data, isExact ? unsent : null);
    else setTimeout(ask, AGAIN);
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    connection("offline");
    setTimeout(ask, AGAIN);
  } finally {
    asking = false;
    if (missed) { missed = false; ask(); }
  }
}

// `unsent` judgments are not in the server's counts; null: nobody can say.
function receive({ items, day, guidelines }, unsent) {
  const here = new Set([...known(), ...finished]);
  ahead.push(...items.filter((item) => !here.has(item.key)));
  for (const [focus, id] of Object.entries(guidelines ?? {})) Object.assign((boot.guidelines[focus] ??= {}), { id });
  if (day && unsent !== null) {
    count.today = day.today + unsent.filter((entry) => entry.kind === "judgment").length;
    count.target = day.target ?? 0;
    count.waiting = Object.values(day.waiting).reduce((sum, n) => sum + n, 0) - unsent.length;
    view.showCount(count);
  }
  stock = day?.stock ?? stock;
  if (day?.paused) [ahead, current] = [[], null];
  whenIdle(() => ahead.slice(0, READY).forEach(view.prepare));
  if (items.length && past.length) whenIdle(ask); // the stock of one at work grows in a pause too
  if (current || bench.writing) return;
  if (ahead.length) advance();
  else rest(day);
}

// What nobody waits for comes after the next paint, which it would hold up.
const whenIdle = (work) => (window.requestIdleCallback ?? setTimeout)(work, { timeout: 200 });

function rest(day) {
  const done = ngettext("You have made {n} judgment today.", "You have made {n} judgments today.", count.today);
  const open = gettext("New pairs appear as they are sampled, or when somebody gives one back.");
  const closed = gettext("It takes no more judgments. The pairs of the next week will wait for you on your home page.");
  $("agree-offer").hidden = !day?.safety_waiting;
  if (day?.paused) view.showRest(gettext("You are paused"), day.paused);
  else if (day?.open) view.showRest(gettext("Nothing waits for you now"), `${done} ${open}`);
  else view.showRest(gettext("This week is closed"), `${closed} ${done}`);
}

function show(item, earlier) {
  current = item;
  bench.writing = false;
  announce(item);
  clock.restart(earlier?.active_ms);
  if (item.focus === "safety" && preferences.blur && !earlier && !item.live) {
    view.showPlace(item);
    return view.showCover();
  }
  uncover(earlier);
}

function uncover(earlier) {
  view.showPair(current);
  form.reset(current.focus, earlier ?? drafts.get(current.key));
  view.bringIntoView(); // last, so that the page is laid out once
  if (comparing) compare(true);
  whenIdle(align);
}

// Said once when it begins to hold: safety pairs, and guidelines that this person has not read.
function announce({ focus }) {
  const rules = boot.guidelines[focus];
  const name = focus === "safety" ? gettext("safety") : gettext("helpfulness");
  const action = { words: rules?.read ? gettext("See what changed") : gettext("Read them"), act: () => act.guidelines() };
  const words = rules?.read
    ? gettext("The guidelines for {name} have changed.", { name })
    : gettext("Read the guidelines for {name} before you begin.", { name });
  if (rules?.id && rules.read !== rules.id) view.notice("guidelines", words, { mood: "calm", action, closes: true });
  else view.notice("guidelines", null);
  const isNews = focus === "safety" && focusShown !== focus && !preferences.blur;
  if (isNews) view.notice("safety", gettext("The next pairs are safety pairs and may upset. You can skip any of them, cover them or stop getting them: see ?."), { mood: "calm", closes: true });
  focusShown = focus;
}

// Answers of very different length scroll together, where this person wants it.
async function align() {
  const [left, right] = [$("left"), $("right")];
  const longest = Math.max(left.offsetHeight, right.offsetHeight);
  if (!bench.together && (!preferences.together || longest < innerHeight)) return;
  bench.together ??= await import("./together.js");
  bench.together.scrollTogether(left, right, preferences.together);
}

async function compare(on) {
  comparing?.hideDifference();
  comparing = on ? await import("./difference.js") : null;
  $("difference").ariaPressed = String(Boolean(on));
  $("difference-words").textContent = on ? differenceIn(comparing.showDifference($("left"), $("right"))) : "";
}

function differenceIn(found) {
  if (found === null) return gettext("These two cannot be compared word by word here.");
  return ngettext("{n} word differs", "{n} words differ", found);
}

function advance() {
  const item = ahead.shift();
  current = null;
  if (item) show(item);
  else view.showBench({ busy: true });
  whenIdle(ask);
}

// What was on the screen comes next again.
function putBack() {
  if (current) ahead.unshift(current);
  current = null;
}

// Shows the next pair at once, while what was said goes to the disk and then to the server.
function tell(kind, url, said, more, next = advance) {
  const item = current;
  const body = { uid: newUid(), comparison: item.key, active_ms: clock.read(), ...more };
  const entry = { kind, url, body, said, about: view.about(), again: item.again };
  past = [...past.slice(1 - REMEMBERED), { item, body, entry }];
  finished.add(item.key);
  view.notice("check-last", null); // it spoke of the pair before
  tally(entry, 1);
  saved = outbox.add(entry).catch(() => unsaved(item, body, entry));
  current = null;
  next();
  whenIdle(() => {
    saved.then(() => sender.kick());
    drafts.drop(item.key);
    const n = preferences.break_minutes;
    if (clock.isDue(n)) view.notice("break", gettext("You have rated for {n} minutes. Rest your eyes for a while: what you have said is kept, and pairs will wait.", { n }), { mood: "calm", closes: true });
  });
}

function unsaved(item, body, entry) {
  finished.delete(item.key);
  past = past.filter((one) => one.entry !== entry);
  putBack();
  show(item, body);
  tally(entry, -1);
  form.say(gettext("This browser could not keep what you said. Free some disk space and send it again."), true);
}

function submit() {
  if (!current) return;
  if (!$("cover").hidden) return uncover();
  const missing = form.missing();
  if (missing) return form.say(missing, true);
  const chosen = form.read();
  const item = current;
  const next = item.live ? () => live().then((part) => part.carryOn(bench, item, chosen)) : advance;
  tell("judgment", urls.judgments, sentenceOf(chosen).slice(0, -1), { ...chosen, guideline: boot.guidelines[item.focus]?.read ?? null }, next);
}

// `reason` of annotation.core.passes; `said` is its sentence.
const passOn = (reason, said, comment) => tell("pass", urls.passes, said, { reason, comment });

// Undo is a further entry and never a deletion: what was said may be on its way, or stored, already.
async function undo() {
  const last = past.pop() ?? (await stored("last"));
  if (!last) return view.notice("undo", gettext("There is nothing to take back."), { mood: "calm", closes: true });
  const { item, body, entry } = last;
  finished.delete(item.key);
  putBack();
  show(item, body);
  form.say(gettext("Taken back. You had said: {said}.", { said: entry.said }));
  tally(entry, -1);
  await outbox.add({ ...entry, url: `${entry.url}/${body.uid}/retract`, body: { uid: newUid() }, undoes: body.uid });
  sender.kick();
}

// A judgment of this person that the server holds, by uid or the last one; null where there is none to be had.
async function stored(which) {
  const unsent = toStore(await outbox.list()).length;
  const answer = unsent ? null : await api("GET", `${urls.mine}/${which}`).catch(() => null);
  if (!answer?.data.item) {
    if (answer?.status > 400) view.notice("reopened", reasonOf(answer.data), { mood: "bad", closes: true });
    return null;
  }
  const { item, answer: body } = answer.data;
  const said = sentenceOf(body).slice(0, -1);
  return { item, body, entry: { kind: "judgment", url: urls.judgments, body, said, about: "" } };
}

async function reopen(uid) {
  history.replaceState(null, "", location.pathname);
  const found = await stored(uid);
  if (!found) return;
  putBack();
  show({ ...found.item, again: true }, found.body);
  const leave = { words: gettext("Leave it as it is"), act: advance };
  view.notice("reopened", gettext("You are changing an earlier judgment. Submit stores the new one in its place."), { mood: "calm", action: leave });
}

function tally({ kind, again }, n) {
  if (again) return view.notice("reopened", null);
  if (kind === "judgment") count.today += n;
  count.waiting -= n;
  view.showCount(count);
}

// Agree to get safety pairs, or stop getting them; nothing is lost by either.
async function consent(agreed) {
  const answer = await api("POST", urls.safety, { consent: agreed }).catch(() => null);
  if (answer?.status !== 200) return view.notice("consent", gettext("That was not stored. Try again when you are connected."), { mood: "bad", closes: true });
  boot.consent = agreed;
  $("stop-safety").hidden = !agreed;
  if (agreed) return ask();
  ahead = ahead.filter((item) => item.focus !== "safety");
  view.notice("consent", gettext("You get no more safety pairs. You can change that on your home page."), { mood: "calm", closes: true });
  if (current?.focus === "safety") advance();
}

const act = {
  submit, undo,
  comment: () => form.comment(),
  previous: () => form.step(-1),
  next: () => form.step(1),
  skip: () => panels().then((part) => part.askWhy("skip", passOn)),
  flag: () => panels().then((part) => part.askWhy("flag", passOn)),
  guidelines: () => panels().then((part) => part.showGuidelines(bench, outbox)),
  difference: () => compare(!comparing),
  help: () => panels().then((part) => part.showSettings(bench, align)),
  ask: () => ask(), agree: () => consent(true), refuse: () => consent(false),
  write: () => live().then((part) => part.compose(bench)),
  close: (button) => button.closest(".notice").remove(),
};
for (let n = 1; n <= 8; n++) act[`choose-${n}`] = () => form.choose(n);
["chosen_safe", "both_safe", "both_unsafe"].forEach((bin, at) => { act[`safety-${at + 1}`] = () => form.label(bin); });

function mode() {
  if (!$("cover").hidden) return UNDER_COVER;
  return $("judgment").hidden || $("judgment").classList.contains("locked") || !current ? WITHOUT_PAIR : null;
}

function listen() {
  $("judgment").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  $("comment").addEventListener("keydown", (event) => {
    if (event.key === "Escape") $("prompt-title").focus();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  // Buttons name what they do; those that write prompts come with their own part.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-act]");
    if (button) act[button.dataset.act](button);
  });
  addEventListener("beforeunload", (event) => {
    if (count.pending && !outbox.durable) event.preventDefault();
  });
  bench.keys = new Keys(act, mode);
  bench.keys.bind(preferences.keys);
}

// The page came with its first pairs.
async function begin() {
  const unsent = toStore(await outbox.list());
  for (const { body } of unsent) finished.add(body.comparison);
  if (boot.reopen) await reopen(boot.reopen);
  else if (boot.live.prompt) (await live()).resume(bench, boot.live.prompt);
  receive(boot.first, unsent);
  sender.kick();
  // With the first key comes the part that later keys open, so that they do without a connection.
  addEventListener("keydown", () => panels().catch(() => null), { once: true });
}

listen();
if (!outbox.durable) view.notice("storage", gettext("This browser keeps nothing between pages: leave this one open until all is sent."));
await begin();
