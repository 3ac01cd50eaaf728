"""The run of Ghost Attention: dialogues in which an instruction holds over all turns (section 3.3).

Knows instructions, turns, stages and files. Must not know how a message is drawn or what learns from it.

Inputs: policy (reference) and prompts, a JSON lines file of {"dialogue", "messages", "focus"}. Output:
targets.jsonl, one line a dialogue: the instruction stands once, in front, and the loss is the last answer's alone
("learn": "last"). Result: dialogues and what became of them, and how long the policy itself remembers an instruction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from annotation.core.records import Message, dialogue_key
from rewardmodel.core.report import RunFailedError
from training.core.chunks import Row
from training.core.dialogue_rounds import Asked, Rounds, read_prompts
from training.core.draws import draw, draw_seed
from training.core.instructions import (
    Instruction,
    draw_instruction,
    draw_part,
    is_shortened,
    with_every,
    with_instruction,
)
from training.core.job import Job
from training.core.recall import TURNS, Probe, by_kind, measure_recall
from training.core.rules import obeys
from training.core.sample import publish_lines
from training.core.selection import is_empty, mean
from training.core.specs.dialogues import GattSpec
from training.core.user_turns import as_user, clean, said_by, why_over


@dataclass
class Thread:
    """A dialogue as it grows. `messages` has no instruction: it is put in for sampling and for learning."""

    prompt: Row
    instruction: Instruction
    turns: int
    messages: list[Message] = field(default_factory=list)
    answer: Row | None = None  # the last one; where it is None nothing was answered
    over: bool = False

    @property
    def key(self) -> str:
        return str(self.prompt["dialogue"])


def run(job: Job) -> dict[str, Any]:
    """Sample turn by turn with the instruction at every turn, and write dialogues that have it once."""
    spec = cast("GattSpec", job.file.spec())
    prompts = read_prompts(job)
    seed = job.file.seed
    threads = [
        Thread(
            prompt,
            draw_instruction(seed, prompt["dialogue"], spec.instructions),
            turns_of(seed, prompt["dialogue"], spec),
            list(prompt["messages"]),
        )
        for prompt in prompts
    ]
    with Rounds.of(job, spec) as rounds:
        for turn in range(1, spec.turns + 1):
            _turn(job, spec, rounds, turn, threads)
        recall = _recall(job, spec, rounds, prompts)
    return _finish(job, spec, threads) | {"recall": recall}


def turns_of(seed: int, dialogue: str, spec: GattSpec) -> int:
    """User turns of a dialogue: all of them, or with `shorter` for every second one any number below."""
    if not spec.shorter or spec.turns == 1 or draw(seed, dialogue, "shorter") % 2:
        return spec.turns
    return 1 + draw(seed, dialogue, "turns") % (spec.turns - 1)


def further_prompt(seed: int, own: int, turn: int, prompts: Sequence[Row]) -> str:
    """The user's words at a turn after the first in the dialogue that prompt `own` opened.

    The last words of another prompt, none twice while there are enough.
    """
    others = max(1, len(prompts) - 1)
    start = draw(seed, prompts[own]["dialogue"], "further")
    content: str = prompts[(own + 1 + (start + turn) % others) % len(prompts)]["messages"][-1]["content"]
    return content


def _turn(job: Job, spec: GattSpec, rounds: Rounds, turn: int, threads: Sequence[Thread]) -> None:
    """The user's words and the answers of one turn, of all dialogues that get so far."""
    job.stage(f"turn {turn}")
    active = [thread for thread in threads if not thread.over and turn <= thread.turns]
    if turn > 1:
        _ask_further(job, spec, rounds, turn, threads, active)
        active = [thread for thread in active if not thread.over]
    asked = [
        Asked(
            with_every(thread.messages, thread.instruction.text),
            spec.temperature,
            draw_seed(job.file.seed, thread.key, "answer", turn),
        )
        for thread in active
    ]
    for thread, row in zip(active, rounds.ask(f"answers/{turn:02d}", asked), strict=True):
        if is_empty(row["text"]):
            thread.over = True
            del thread.messages[-1:]
        else:
            thread.messages.append({"role": "assistant", "content": row["text"]})
            thread.answer = row


def _ask_further(
    job: Job,
    spec: GattSpec,
    rounds: Rounds,
    turn: int,
    threads: Sequence[Thread],
    active: Sequence[Thread],
) -> None:
    seed = job.file.seed
    if spec.user_turns == "pool":
        prompts = [thread.prompt for thread in threads]
        own = {thread.key: place for place, thread in enumerate(threads)}
        said = [further_prompt(seed, own[thread.key], turn, prompts) for thread in active]
    else:
        asked = [
            Asked(
                as_user(thread.messages),
                spec.temperature,
                draw_seed(seed, thread.key, "user", turn),
                spec.user_tokens,
            )
            for thread in active
        ]
        rows = rounds.ask(f"users/{turn:02d}", asked)
        said = [clean(row["text"], row["finish_reason"]) for row in rows]
    for thread, words in zip(active, said, strict=True):
        if spec.user_turns == "policy" and why_over(words, said_by(thread.messages, "user"), user=True):
            thread.over = True
        else:
            thread.messages.append({"role": "user", "content": words})


def _recall(job: Job, spec: GattSpec, rounds: Rounds, prompts: Sequence[Row]) -> dict[str, Any] | None:
    """How long the policy remembers an instruction as it is, before it learns from the targets."""
    if not spec.recall_dialogues:
        return None
    job.stage("recall")
    probes = probes_of(job.file.seed, spec, prompts)
    turns = [turn for turn in TURNS if turn <= spec.recall_turns]
    recalls = measure_recall(
        rounds.ask,
        probes,
        turns,
        seed=job.file.seed,
        temperature=spec.temperature,
        system=spec.place == "system",
    )
    for recall in recalls:
        job.metric("recall", recall.share, recall.turn)
    kinds = {
        kind: {turn: told["share"] for turn, told in turns.items()}
        for kind, turns in by_kind(probes, recalls).items()
    }
    return {"all": {str(recall.turn): recall.to_json() for recall in recalls}, "share": kinds}


def probes_of(seed: int, spec: GattSpec, prompts: Sequence[Row]) -> list[Probe]:
    """Instructions of a single part, and questions from the run's prompts."""
    probes = []
    for number in range(spec.recall_dialogues):
        key = f"probe {number}"
        start = draw(seed, key, "questions") % len(prompts)
        questions = [
            prompts[(start + turn) % len(prompts)]["messages"][-1]["content"]
            for turn in range(spec.recall_turns)
        ]
        probes.append(Probe(key, draw_part(seed, key, spec.instructions), tuple(questions)))
    return probes


def _finish(job: Job, spec: GattSpec, threads: Sequence[Thread]) -> dict[str, Any]:
    job.stage("write")
    answered = [thread for thread in threads if thread.answer is not None]
    if not answered:
        raise RunFailedError("every answer is empty: the policy ends its turn at once. Try another policy")
    checked = [_obeyed(thread) for thread in answered]
    kept = [
        thread
        for thread, obeyed in zip(answered, checked, strict=True)
        if not (spec.only_obeyed and obeyed is False)
    ]
    if not kept:
        raise RunFailedError(
            f"none of {len(answered)} last answers obeys its instruction, so that there is nothing to learn; "
            "turn only_obeyed off, or take instructions that this policy follows"
        )
    targets = [_target(job, spec, thread) for thread in kept]
    publish_lines(job, {"targets.jsonl": targets})
    told = [obeyed for obeyed in checked if obeyed is not None]
    return {
        "prompts": len(threads),
        "dialogues": len(targets),
        "unanswered": len(threads) - len(answered),
        "disobeyed": len(answered) - len(kept),
        "checked": len(told),
        "obeyed": mean([float(obeyed) for obeyed in told]) if told else None,
        "shortened": sum(target["shortened"] for target in targets),
        "turns": _counts([str(target["turns"]) for target in targets]),
        "instructions": _counts([thread.instruction.kind for thread in kept]),
    }


def _obeyed(thread: Thread) -> bool | None:
    """Whether the last answer obeys what rules can check of any answer; None: they can check nothing."""
    rules = thread.instruction.rules
    text = cast("Row", thread.answer)["text"]
    return all(obeys(rule, text) for rule in rules) if rules else None


def _target(job: Job, spec: GattSpec, thread: Thread) -> Row:
    """The dialogue up to its last question with the instruction once, in front, and the last answer.

    The key is the content's: a target of this kind never competes with another answer to the same prompt.
    """
    answer = cast("Row", thread.answer)
    shortened = is_shortened(job.file.seed, thread.key, spec.short_share)
    words = thread.instruction.short if shortened else thread.instruction.text
    messages = with_instruction(thread.messages[:-1], words, system=spec.place == "system")
    return {
        "dialogue": dialogue_key(messages),
        "prompt": thread.key,
        "messages": messages,
        "text": answer["text"],
        "finish_reason": answer["finish_reason"],
        "policy": job.file.inputs["policy"]["name"],
        "focus": thread.prompt["focus"],
        "learn": "last",
        "turns": len(said_by(messages, "user")),
        "instruction": thread.instruction.text,
        "shortened": shortened,
    }


def _counts(names: Sequence[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
