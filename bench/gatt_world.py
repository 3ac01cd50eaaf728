"""A small language in which people ask about two things and may say how to answer, and a Llama that speaks it.

Knows words, the right answer to each question, and how the model is trained from nothing. Must not know Ghost
Attention: in what the model learns here an instruction holds for the one turn in which it stands.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from annotation.core.records import Message
from rewardmodel.core.files import write_manifest
from rewardmodel.core.tiny import CHATML, END, PAD, TURN
from rewardmodel.core.tuning import BETAS
from training.core.instructions import (
    LANGUAGES,
    WORDS,
    Part,
    capitals,
    first_word,
    language,
    last_word,
    mention,
)

Pair = tuple[str, str]
Example = tuple[list[int], list[bool]]

THINGS: Final = (
    "apple",
    "bread",
    "candle",
    "desk",
    "eagle",
    "fiddle",
    "garden",
    "hammer",
    "island",
    "jacket",
    "kettle",
    "ladder",
    "mirror",
    "needle",
    "onion",
    "pencil",
    "quilt",
    "river",
    "saddle",
    "table",
    "umbrella",
    "valley",
    "wagon",
    "window",
    "anchor",
    "basket",
    "castle",
    "dragon",
    "engine",
    "forest",
    "guitar",
    "hill",
    "iron",
    "jungle",
    "key",
    "lake",
    "mountain",
    "nest",
    "ocean",
    "piano",
)
OTHERS: Final = ("marble", "thunder", "velvet", "saffron", "pebble", "walnut", "comet", "feather")
# Two words of each language that no other of the rule's languages has among its common ones.
GLUE: Final = {
    "English": ("the", "and"),
    "French": ("les", "et"),
    "German": ("das", "und"),
    "Spanish": ("el", "como"),
    "Italian": ("gli", "anche"),
    "Portuguese": ("os", "mais"),
    "Dutch": ("het", "ook"),
    "Swedish": ("att", "och"),
}
LONGEST: Final = 20  # turns of a dialogue that is learnt from
SHAPE: Final[dict[str, Any]] = {
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}


def question(pair: Pair) -> str:
    return f"Tell me of {pair[0]} with {pair[1]}."


def answer(pair: Pair, part: Part | None) -> str:
    """The one right answer under an instruction, or without."""
    spoken = part.rule.value if part is not None and part.kind == "language" else "English"
    article, joint = GLUE[spoken]
    words = [article, pair[0], joint, article, pair[1]]
    if part is None or part.kind == "language":
        return " ".join(words)
    if part.kind == "last word":
        return " ".join([*words, part.rule.value])
    if part.kind == "first word":
        return " ".join([part.rule.value, *words])
    if part.kind == "mention":
        return " ".join([*words[:2], part.rule.value, *words[2:]])
    return " ".join(words).upper()


def parts(words: Sequence[str]) -> list[Part]:
    """Every instruction that the language knows, with these words to put somewhere."""
    wordy: list[Callable[[str], Part]] = [last_word, first_word, mention]
    return [make(word) for make in wordy for word in words] + [
        capitals(""),
        *[language(name) for name in LANGUAGES],
    ]


def draw_part(draw: random.Random, words: Sequence[str]) -> Part:
    """Each kind of instruction as likely as any other."""
    wordy: list[Callable[[str], Part]] = [last_word, first_word, mention]
    kind = draw.randrange(len(wordy) + 2)
    if kind < len(wordy):
        return wordy[kind](draw.choice(words))
    return capitals("") if kind == len(wordy) else language(draw.choice(LANGUAGES))


def draw_pair(draw: random.Random) -> Pair:
    one, other = draw.sample(THINGS, 2)
    return one, other


def build_tokenizer() -> PreTrainedTokenizerBase:
    """A token a word and a punctuation mark; every word that anybody can say here."""
    told = [
        *[text for part in parts([*WORDS, *OTHERS]) for text in (part.text, part.short)],
        *[answer((thing, thing), part) for thing in THINGS for part in (None, capitals(""))],
        *[question((thing, thing)) for thing in THINGS],
        *[word for glue in GLUE.values() for word in glue],
        "user assistant system",
    ]
    split = pre_tokenizers.Whitespace()
    words = sorted({word for text in told for word, _ in split.pre_tokenize_str(text)})
    vocabulary = {word: index for index, word in enumerate(["<unk>", PAD, TURN, END, *words])}
    inner = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106
    inner.pre_tokenizer = split
    inner.add_special_tokens([PAD, TURN, END])
    fast: Any = PreTrainedTokenizerFast  # its constructor is not annotated
    tokenizer: PreTrainedTokenizerBase = fast(
        tokenizer_object=inner,
        bos_token=TURN,
        eos_token=END,
        pad_token=PAD,
        unk_token="<unk>",  # noqa: S106
        chat_template=CHATML,
        clean_up_tokenization_spaces=False,
    )
    return tokenizer


def draw_turns(draw: random.Random) -> int:
    """Mostly few: what is to be learnt of a turn does not depend on those before it."""
    return draw.randint(1, 4) if draw.random() < 0.7 else draw.randint(5, LONGEST)


def draw_dialogue(draw: random.Random, turns: int) -> list[Message]:
    """Two turns of three or so have an instruction, which their own answers obey and the next ones do not."""
    messages: list[Message] = []
    for _ in range(turns):
        pair = draw_pair(draw)
        part = draw_part(draw, [*WORDS, *OTHERS]) if draw.random() < 0.7 else None
        said = question(pair)
        if part is not None:
            said = f"{part.text if draw.random() < 0.5 else part.short}\n{said}"
        messages.append({"role": "user", "content": said})
        messages.append({"role": "assistant", "content": answer(pair, part)})
    return messages


def train_base(directory: Path, *, seed: int, steps: int, exchanges: int, say: Callable[[str], None]) -> None:
    """Train the Llama from nothing on dialogues that are drawn as it goes, and write a policy directory.

    A step takes dialogues of as many turns each, `exchanges` questions with their answers in all: nearly no padding.
    """
    tokenizer = build_tokenizer()
    torch.manual_seed(seed)
    model = LlamaForCausalLM(_config(tokenizer))
    draw = random.Random(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=BETAS, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share(step, steps))
    started = time.perf_counter()
    for step in range(steps):
        turns = draw_turns(draw)
        batch = examples(tokenizer, [draw_dialogue(draw, turns) for _ in range(exchanges // turns)])
        loss = _loss(model, batch, int(tokenizer.pad_token_id))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 100 == 0 or step == steps - 1:
            say(f"step {step}: loss {loss.item():.4f}, {time.perf_counter() - started:.0f} s")
    _write(directory, model, tokenizer, seed)


def _share(step: int, steps: int) -> float:
    """Of the highest learning rate: a twentieth of warm-up, and a fall to nothing over the last fifth."""
    return min(1.0, (step + 1) / (0.05 * steps), (steps - step) / (0.2 * steps))


def _config(tokenizer: PreTrainedTokenizerBase) -> LlamaConfig:
    return LlamaConfig(
        **SHAPE,
        vocab_size=len(tokenizer),
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )


def examples(tokenizer: PreTrainedTokenizerBase, dialogues: Sequence[Sequence[Message]]) -> list[Example]:
    """Of each dialogue its tokens, and which of them are an answer's or end one."""
    untyped: Any = tokenizer
    texts = [untyped.apply_chat_template(dialogue, tokenize=False) for dialogue in dialogues]
    rows: list[list[int]] = untyped(texts, add_special_tokens=False)["input_ids"]
    opening: list[int] = untyped.convert_tokens_to_ids([TURN, "assistant"])
    return [(row, _spoken(row, opening, untyped.eos_token_id)) for row in rows]


def _spoken(row: Sequence[int], opening: Sequence[int], end: int) -> list[bool]:
    flags, speaking = [], False
    for place, token in enumerate(row):
        flags.append(speaking)
        if token == end:
            speaking = False
        elif list(row[place - 1 : place + 1]) == list(opening):
            speaking = True
    return flags


def _loss(model: LlamaForCausalLM, rows: Sequence[Example], pad: int) -> torch.Tensor:
    """Mean cross-entropy of the answers' tokens; rows padded on the right, which a causal model never sees."""
    width = max(len(tokens) for tokens, _ in rows)
    ids = torch.tensor([tokens + [pad] * (width - len(tokens)) for tokens, _ in rows])
    learnt = torch.tensor([flags + [False] * (width - len(flags)) for _, flags in rows])
    untyped: Any = model
    logits = untyped(input_ids=ids, use_cache=False).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits[learnt[:, 1:]], ids[:, 1:][learnt[:, 1:]])


def _write(directory: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(directory)
    model.save_pretrained(directory)
    generation: Any = GenerationConfig  # its constructor is not annotated
    generation(
        do_sample=True, top_k=0, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    ).save_pretrained(directory)
    fields = {
        "kind": "policy",
        "source": "bench",
        "parent": None,
        "template": "chatml",
        "code_version": "bench",
    }
    write_manifest(directory, {**fields, "seed": seed})
