// Prompts written live: the composer, two answers that come at one pace, and going on with the chosen one.
// Loaded when it is first wanted.

import { makeStream, newUid, reasonOf } from "./transport.js";
import { element, showOnly, showPlace, turnElement } from "./view.js";
import { gettext } from "./words.js";

const $ = (id) => document.getElementById(id);
const DRAFT = "prompt";
const SILENCE = 60_000; // milliseconds without a line after which the answers count as broken off
const BROKEN = () => gettext("The answers broke off. Your prompt is kept: ask again.");

let bench;
let prompt = null; // {uid, focus, text, continues, turns}: what is being asked, or was
let abort = null; // ends the stream that is being read

// Opens the composer with what was begun before.
export function compose(given) {
  start(given, bench?.drafts.get(DRAFT) ?? given.drafts.get(DRAFT) ?? fresh());
}

// Goes on with a prompt that the server keeps and that has no answers yet.
export function resume(given, kept) {
  start(given, kept);
  say(kept.state === "asking" ? BROKEN() : kept.message, true);
}

// After a judgment on live answers: the dialogue can go on with the chosen one.
export function carryOn(given, item, { side }) {
  if (!item.can_continue) return start(given, fresh(item.focus));
  const turns = [...item.turns, { role: "assistant", html: item[side].html }];
  start(given, { ...fresh(item.focus), continues: item.key, turns });
}

const fresh = (focus = "helpfulness") => ({ uid: newUid(), focus, text: "", continues: null, turns: [] });

function start(given, wanted) {
  bench = given;
  bench.writing = true;
  bench.putBack();
  prompt = wanted;
  $("composer-text").value = prompt.text;
  $("composer").focus_.value = prompt.focus;
  $("composer-focus").hidden = Boolean(prompt.continues) || !bench.boot.consent;
  $("composer-turns").replaceChildren(...prompt.turns.map(turnElement));
  $("composer-title").textContent = prompt.continues ? gettext("Go on with the answer you chose") : gettext("Write a prompt");
  $("composer-new").hidden = !prompt.continues;
  say("");
  $("composer").onsubmit = (event) => { event.preventDefault(); ask(); };
  $("composer-text").oninput = keep;
  $("composer-text").onkeydown = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    ask();
  };
  $("composer-new").onclick = () => start(bench, fresh(prompt.focus));
  $("composer-leave").onclick = leave;
  $("live-stop").onclick = stop;
  $("live-again").onclick = ask;
  $("live-edit").onclick = () => start(bench, prompt);
  showOnly("composer");
  $("composer-text").focus();
}

const say = (words, bad = false) => {
  $("composer-said").textContent = words;
  $("composer-said").classList.toggle("asks", bad);
};

function keep() {
  Object.assign(prompt, { text: $("composer-text").value, focus: $("composer").focus_.value || prompt.focus });
  if (prompt.text.trim() || prompt.continues) bench.drafts.keep(DRAFT, prompt);
  else bench.drafts.drop(DRAFT);
}

// Back to the pairs. A prompt that was asked is given up on the server; a mere draft waits here.
function leave() {
  if (prompt.asked) bench.api("POST", `${bench.boot.urls.live}/${prompt.uid}/drop`, {}).catch(() => null);
  if (prompt.asked) Object.assign(prompt, { uid: newUid(), asked: false });
  keep();
  bench.writing = false;
  bench.advance();
}

async function ask() {
  keep();
  if (!prompt.text.trim()) return say(gettext("Write first what the two models shall answer."), true);
  say(gettext("One moment: what you said before is being sent."));
  await bench.sender.kick(); // the server must know which answer was chosen
  say("");
  prompt.asked = true;
  keep();
  showAnswers();
  const end = await read().catch(() => null);
  if (abort?.signal.aborted) return;
  if (end?.item) return finish(end);
  if (end?.problem?.code === "illegal-move") prompt.uid = newUid(); // given up in another tab
  broken(end?.problem ? reasonOf(end.problem) : BROKEN());
}

// Shows what comes as plain text; returns the last line.
async function read() {
  abort = new AbortController();
  const { uid, focus, text, continues } = prompt;
  let watch;
  const alive = () => {
    clearTimeout(watch);
    watch = setTimeout(() => {
      abort.abort();
      broken(BROKEN());
    }, SILENCE);
  };
  try {
    alive();
    for await (const line of makeStream(bench.boot.annotator)(bench.boot.urls.live, { uid, focus, text, continues }, abort.signal)) {
      alive();
      if (line.item || line.problem) return line;
      $("left").append(line.left);
      $("right").append(line.right);
    }
    return null;
  } finally {
    clearTimeout(watch);
  }
}

function showAnswers() {
  showPlace({ batch: bench.boot.batch, focus: prompt.focus });
  $("earlier").hidden = !prompt.turns.length;
  $("earlier-words").textContent = gettext("The dialogue so far");
  $("earlier-turns").replaceChildren(...prompt.turns.map(turnElement));
  $("prompt").replaceChildren(element("p", prompt.text, { className: "plain" }));
  for (const id of ["left", "right", "difference-words"]) $(id).replaceChildren();
  showOnly("pair", "judgment");
  $("pair").classList.remove("waiting");
  $("pair").classList.add("streaming");
  bench.form.reset(prompt.focus);
  bench.form.lock(true);
  bench.form.say(gettext("Both responses are being written. You can choose when both have ended."));
  actions("live-stop");
  $("prompt-title").focus({ preventScroll: true });
}

const actions = (...ids) => ["live-stop", "live-again", "live-edit"].forEach((id) => { $(id).hidden = !ids.includes(id); });

function finish({ item, can_continue }) {
  $("pair").classList.remove("streaming");
  actions();
  bench.drafts.drop(DRAFT);
  bench.show({ ...item, live: true, can_continue });
}

function broken(words) {
  bench.form.say(words, true);
  actions("live-again", "live-edit");
  $("live-again").focus();
}

function stop() {
  abort?.abort();
  bench.api("POST", `${bench.boot.urls.live}/${prompt.uid}/stop`, {}).catch(() => null);
  broken(gettext("Stopped. Your prompt is kept."));
}
