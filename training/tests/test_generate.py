"""Responses of the tiny policy, against a loop without cache, batch or padding."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from annotation.core.records import Message
from rewardmodel.core.backbone import PolicyRef, encode_prompt, load_causal_lm, load_tokenizer
from rewardmodel.core.report import RunCancelledError, RunFailedError, Silent
from training.core.batching import BATCHES_A_CHUNK, plan_batches
from training.core.generate import LocalGenerator, Pace, Request, Sample, response_text, says_stop
from training.core.gumbel import nucleus

CPU = torch.device("cpu")
END = 258  # <|im_end|> of the tiny tokenizer


@pytest.fixture(scope="module")
def generator(tiny: PolicyRef) -> Iterator[LocalGenerator]:
    generator = LocalGenerator(tiny, CPU, tokens_per_batch=4096)
    yield generator
    generator.close()


def _ask(
    text: str,
    seed: int = 0,
    temperature: float = 1.0,
    top_p: float = 1.0,
    new: int = 12,
    stop: tuple[str, ...] = (),
) -> Request:
    message: Message = {"role": "user", "content": text}
    return Request((message,), temperature, top_p, seed, new, stop)


REQUESTS = [
    _ask("Hi"),
    _ask("Hi", seed=1),
    _ask("Hi", seed=1, temperature=0.5),
    _ask("Tell me of the sea, at some length", seed=2, temperature=1.3),
    _ask("Hi", temperature=0.0),
    _ask("Ada?", seed=3, top_p=0.5),
    _ask("Ada?", seed=4, new=3),
]


def _told(samples: list[Sample]) -> list[tuple[str, int, str]]:
    return [(sample.text, sample.tokens, sample.finish_reason) for sample in samples]


def _naive(tiny: PolicyRef, request: Request) -> tuple[str, int, str]:
    """The same distribution and noise with the plainest loop: every token computes the whole row anew."""
    tokenizer = load_tokenizer(tiny)
    model: Any = load_causal_lm(tiny, CPU)
    ids = encode_prompt(tokenizer, request.messages)
    noise = torch.Generator().manual_seed(request.seed)
    drawn: list[int] = []
    while len(drawn) < request.max_new_tokens:
        with torch.no_grad():
            logits = model(torch.tensor([ids + drawn])).logits[0, -1]
        if request.temperature > 0:
            logits = nucleus(logits[None] / request.temperature, torch.tensor([[request.top_p]]))[0]
            logits = logits - (-torch.rand(logits.shape, generator=noise).log()).log()
        token = int(logits.argmax())
        if token == END:
            return str(tokenizer.decode(drawn)), len(drawn), "stop"
        drawn.append(token)
    return str(tokenizer.decode(drawn)), len(drawn), "length"


def test_a_batch_says_what_the_plainest_loop_says(tiny: PolicyRef, generator: LocalGenerator) -> None:
    assert _told(generator.generate(REQUESTS)) == [_naive(tiny, request) for request in REQUESTS]


def test_a_sample_does_not_depend_on_its_batch(generator: LocalGenerator) -> None:
    alone = [_told(generator.generate([request]))[0] for request in REQUESTS]
    assert _told(generator.generate(REQUESTS)) == alone
    assert _told(generator.generate(REQUESTS[::-1])) == alone[::-1]


def test_the_seed_decides_and_repeats(generator: LocalGenerator) -> None:
    twice = generator.generate([_ask("Hi", seed=7), _ask("Hi", seed=7), _ask("Hi", seed=8)])
    assert twice[0].text == twice[1].text != twice[2].text


def test_temperature_zero_ignores_the_seed(generator: LocalGenerator) -> None:
    one, other = generator.generate([_ask("Hi", seed, temperature=0.0) for seed in (1, 2)])
    assert one.text == other.text


def test_a_low_temperature_comes_near_to_greedy(generator: LocalGenerator) -> None:
    greedy, cold, warm = generator.generate([_ask("Hi", 1, temperature=t) for t in (0.0, 0.001, 1.5)])
    assert greedy.text == cold.text != warm.text


def test_a_response_ends_before_its_end_of_turn_or_at_its_longest(generator: LocalGenerator) -> None:
    samples = generator.generate([_ask("Hi", seed, new=40) for seed in range(24)])
    assert {sample.finish_reason for sample in samples} == {"stop", "length"}
    for sample in samples:
        assert "<|im_end|>" not in sample.text
        assert sample.tokens == len(sample.text)  # printable ASCII, a byte a token
        assert (sample.tokens == 40) == (sample.finish_reason == "length")


def test_each_row_has_a_longest_length_of_its_own(generator: LocalGenerator) -> None:
    short, long = generator.generate([_ask("Hi", temperature=0.0, new=n) for n in (2, 9)])
    assert short.tokens == 2
    assert long.text.startswith(short.text)


def test_a_shorter_response_took_less_time(generator: LocalGenerator) -> None:
    short, long = generator.generate([_ask("Hi", temperature=0.0, new=n) for n in (2, 9)])
    assert 0 < short.seconds < long.seconds


def test_the_samples_of_a_prompt_share_its_prefill(tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []

    def load(*given: Any) -> Any:
        model = load_causal_lm(*given)
        model.model.register_forward_pre_hook(
            lambda _module, _args, named: seen.append(tuple(named["input_ids"].shape)), with_kwargs=True
        )
        return model

    monkeypatch.setattr("training.core.generate.load_causal_lm", load)
    generator = LocalGenerator(tiny, CPU, tokens_per_batch=4096)
    generator.generate([_ask("Hi", new=1)])  # the check of the model
    seen.clear()
    generator.generate([*(_ask("Hi", seed, new=2) for seed in range(5)), _ask("Ho", 9, new=2)])
    # "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n": 1 + 5 + 2 + 1 + 1 + 1 + 10 = 21 ids, of which "Ho"
    # shares the first 7, in one packed row. Then those of the six rows that did not end at once.
    assert seen[0] == (1, 21 + 14)
    assert seen[1][1:] == (1,)
    assert seen[1][0] <= 6


def test_the_policys_own_penalties_do_not_bend_the_distribution(
    tiny: PolicyRef, generator: LocalGenerator, tmp_path: Path
) -> None:
    shutil.copytree(tiny.path, tmp_path / "bent")
    config = tmp_path / "bent" / "generation_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"repetition_penalty": 9.0, "top_k": 1}))
    bent = LocalGenerator(PolicyRef("bent", tmp_path / "bent", None), CPU, 4096)
    assert _told(bent.generate(REQUESTS)) == _told(generator.generate(REQUESTS))


def test_a_long_dialogue_loses_its_oldest_exchanges(generator: LocalGenerator) -> None:
    # The tiny model sees 1,024 tokens. The first exchange alone has more than that.
    tail: Message = {"role": "user", "content": "Hi"}
    long: tuple[Message, ...] = (
        {"role": "user", "content": "x" * 800},
        {"role": "assistant", "content": "y" * 800},
        tail,
    )
    cut, short = generator.generate([replace(_ask("Hi", 4), messages=long), _ask("Hi", 4)])
    assert cut.text == short.text


def test_a_message_that_does_not_fit_fails_with_its_beginning(generator: LocalGenerator) -> None:
    with pytest.raises(RunFailedError, match=r"sees 1024 tokens.*'zzzzz"):
        generator.plan([_ask("z" * 2000)])


def test_text_holds_nothing_that_a_database_refuses(tiny: PolicyRef) -> None:
    assert response_text(load_tokenizer(tiny), [0, 72, 105], "stop") == "Hi"


def test_half_a_character_at_the_cut_is_dropped(tiny: PolicyRef) -> None:
    # 0xC3 opens a two-byte character whose second byte was not drawn any more.
    assert response_text(load_tokenizer(tiny), [72, 0xC3], "length") == "H"


def test_a_response_ends_before_its_first_stop_string(generator: LocalGenerator) -> None:
    (whole,) = generator.generate([_ask("Hi", 5, new=40)])
    late, early = whole.text[2:4], whole.text[1:3]
    assert len(early) == 2
    (cut,) = generator.generate([_ask("Hi", 5, new=40, stop=(late, early))])
    assert cut.text == whole.text[: min(whole.text.index(late), whole.text.index(early))]
    assert cut.finish_reason == "stop"
    assert cut.tokens < whole.tokens


def test_a_stop_string_of_one_row_does_not_end_another(generator: LocalGenerator) -> None:
    (whole,) = generator.generate([_ask("Hi", 5, new=40)])
    first = whole.text[0]
    cut, left = generator.generate([_ask("Hi", 5, new=40, stop=(first,)), _ask("Hi", 5, new=40)])
    assert (cut.text, left.text) == ("", whole.text)


def test_a_stop_string_is_found_across_tokens_and_the_bytes_of_a_character(tiny: PolicyRef) -> None:
    tokenizer = load_tokenizer(tiny)
    tokens = list("Ja, größer.".encode())
    assert not says_stop(tokenizer, tokens[:-4], ("größer",))
    assert says_stop(tokenizer, tokens[:-1], ("größer",))
    assert response_text(tokenizer, tokens[:-1], "stop", ("größer",)) == "Ja, "


def test_speed_is_told_while_the_work_goes_on() -> None:
    told: list[tuple[float, int]] = []

    class Listening(Silent):
        def metric(self, name: str, value: float, step: int) -> None:
            assert name == "tokens_per_second"
            told.append((value, step))

    moment = 0.0
    pace = Pace(clock=lambda: moment)
    pace.begin()
    for tokens in (10, 20, 30):  # one second each; told every two
        moment += 1
        pace.drew(tokens, Listening())
    assert told == [(15.0, 30)]
    pace.tell(Listening())
    assert told == [(15.0, 30), (30.0, 60)]


def test_a_cancelled_run_stops_within_a_batch(generator: LocalGenerator) -> None:
    class Impatient(Silent):
        checks = 0

        def check(self) -> None:
            self.checks += 1
            if self.checks == 3:
                raise RunCancelledError

    reporter = Impatient()
    with pytest.raises(RunCancelledError):
        generator.generate([_ask("Hi", temperature=0.0)], reporter)


prompts = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9).map(tuple), max_size=20)


@given(prompts, st.integers(1, 5), st.integers(8, 60))
def test_a_plan_holds_every_request_once_within_the_budget(
    prompts: list[tuple[int, ...]], new: int, budget: int
) -> None:
    batches = plan_batches(prompts, [new] * len(prompts), budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(prompts)))
    for batch in batches:
        distinct = {prompts[index] for index in batch}
        assert len(batch) == 1 or sum(map(len, distinct)) + len(batch) * new <= budget


def test_a_chunk_is_several_batches_long(generator: LocalGenerator) -> None:
    # A prompt of 21 tokens, once, and 900 a row.
    requests = [_ask("Hi", seed, new=900) for seed in range(40)]
    sizes = [len(chunk) for chunk in generator.plan(requests)]
    assert sizes[0] == (BATCHES_A_CHUNK * 4096 - 21) // 900


@given(prompts)
def test_samples_of_one_prompt_stand_together(prompts: list[tuple[int, ...]]) -> None:
    order = [prompts[i] for batch in plan_batches(prompts, [1] * len(prompts), 10**6) for i in batch]
    changes = sum(one != other for one, other in pairwise(order))
    assert changes == max(0, len(set(prompts)) - 1)
