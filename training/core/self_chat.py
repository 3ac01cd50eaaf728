"""The run of self-chat: a policy writes both sides of dialogues, so that there are some where no people write.

Knows turns, sides, ends and files. Must not know how a message is drawn. After Baize (arXiv 2304.01196), whose
dialogues begin with a question of a data set, as these begin with a prompt of the pool.

Inputs: policy (reference) and prompts, a JSON lines file of {"dialogue", "messages", "focus"}. Output: targets.jsonl,
dialogues whose every answer is learnt ("learn": "every"), and dialogues.jsonl, lines of {"prompt", "messages",
"focus"}: the same up to the last user turn, which wait for other answers. Result: counts, and why dialogues ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from annotation.core.records import Message, dialogue_key
from rewardmodel.core.report import RunFailedError
from training.core.chunks import Row
from training.core.dialogue_rounds import Asked, Rounds, read_prompts
from training.core.draws import draw_seed
from training.core.job import Job
from training.core.sample import publish_lines
from training.core.selection import mean
from training.core.specs.dialogues import SelfChatSpec
from training.core.user_turns import Over, as_user, clean, said_by, why_over

WHOLE: Final = "all turns"


@dataclass
class Chat:
    """A dialogue as it grows."""

    prompt: Row
    messages: list[Message]
    answers: list[Row] = field(default_factory=list)
    over: Over | None = None

    @property
    def key(self) -> str:
        return str(self.prompt["dialogue"])


def run(job: Job) -> dict[str, Any]:
    """Write answer and question in turn, all dialogues together, until each is over."""
    spec = cast("SelfChatSpec", job.file.spec())
    chats = [Chat(prompt, list(prompt["messages"])) for prompt in read_prompts(job)]
    with Rounds.of(job, spec) as rounds:
        for turn in range(1, spec.turns + 1):
            job.stage(f"turn {turn}")
            if turn > 1:
                _ask(job, spec, rounds, turn, chats)
            _answer(job, spec, rounds, turn, chats)
    return _finish(job, spec, chats)


def _ask(job: Job, spec: SelfChatSpec, rounds: Rounds, turn: int, chats: Sequence[Chat]) -> None:
    """The user's next message in every dialogue that goes on."""
    active = [chat for chat in chats if chat.over is None]
    asked = [
        Asked(
            as_user(chat.messages),
            spec.temperature,
            draw_seed(job.file.seed, chat.key, "user", turn),
            spec.user_tokens,
        )
        for chat in active
    ]
    for chat, row in zip(active, rounds.ask(f"users/{turn:02d}", asked), strict=True):
        said = clean(row["text"], row["finish_reason"])
        chat.over = why_over(said, said_by(chat.messages, "user"), user=True)
        if chat.over is None:
            chat.messages.append({"role": "user", "content": said})


def _answer(job: Job, spec: SelfChatSpec, rounds: Rounds, turn: int, chats: Sequence[Chat]) -> None:
    """The assistant's answer. One that was cut ends its dialogue: what follows would answer half a sentence."""
    active = [chat for chat in chats if chat.over is None]
    asked = [
        Asked(chat.messages, spec.temperature, draw_seed(job.file.seed, chat.key, "answer", turn))
        for chat in active
    ]
    for chat, row in zip(active, rounds.ask(f"answers/{turn:02d}", asked), strict=True):
        chat.over = why_over(row["text"], said_by(chat.messages, "assistant"), user=False)
        if chat.over is None:
            chat.messages.append({"role": "assistant", "content": row["text"]})
            chat.answers.append(row)
            chat.over = Over.CUT if row["finish_reason"] == "length" else None


def _finish(job: Job, spec: SelfChatSpec, chats: Sequence[Chat]) -> dict[str, Any]:
    job.stage("write")
    ends = Counter(WHOLE if chat.over is None or _is_whole(chat, spec) else str(chat.over) for chat in chats)
    least = min(2, spec.turns)
    kept = [chat for chat in chats if len(chat.answers) >= least]
    waiting = [line for chat in chats if (line := _waiting(chat)) is not None]
    if not kept:
        told = ", ".join(f"{name}: {count}" for name, count in sorted(ends.items()))
        raise RunFailedError(
            f"no dialogue came to a second answer ({told}); where answers were cut, raise max_new_tokens, else try "
            "another policy or a higher temperature"
        )
    targets = [_target(job, chat) for chat in kept]
    publish_lines(job, {"targets.jsonl": targets, "dialogues.jsonl": waiting})
    return {
        "prompts": len(chats),
        "dialogues": len(targets),
        "too_short": len(chats) - len(kept),
        "waiting": len(waiting),
        "mean_turns": mean([float(len(chat.answers)) for chat in kept]),
        "turns": dict(sorted(Counter(str(len(chat.answers)) for chat in kept).items())),
        "ends": dict(sorted(ends.items())),
    }


def _is_whole(chat: Chat, spec: SelfChatSpec) -> bool:
    """Whether it has all its turns; the last answer may have been cut all the same."""
    return len(chat.answers) == spec.turns


def _target(job: Job, chat: Chat) -> Row:
    """Every answer is learnt. The key is the content's, as of any dialogue."""
    messages, last = _split(chat)
    return {
        "dialogue": dialogue_key(messages),
        "prompt": chat.key,
        "messages": messages,
        "text": last["text"],
        "finish_reason": last["finish_reason"],
        "policy": job.file.inputs["policy"]["name"],
        "focus": chat.prompt["focus"],
        "learn": "every",
        "turns": len(chat.answers),
    }


def _split(chat: Chat) -> tuple[list[Message], Row]:
    """The dialogue up to its last answered question, and the answer."""
    end = max(place for place, turn in enumerate(chat.messages) if turn["role"] == "assistant")
    return chat.messages[:end], chat.answers[-1]


def _waiting(chat: Chat) -> Row | None:
    """The dialogue up to its last user turn, where the policy wrote one."""
    end = max(place for place, turn in enumerate(chat.messages) if turn["role"] == "user") + 1
    if end <= len(chat.prompt["messages"]):
        return None
    return {"prompt": chat.key, "messages": chat.messages[:end], "focus": chat.prompt["focus"]}
