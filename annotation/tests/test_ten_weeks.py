"""Ten weeks of prompts that repeat, vary and bridge one another: none stands in both train and hold-out."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from annotation.core.formats.lines import open_lines
from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.records import PreferenceRecord
from annotation.models import Batch, Judgment, Prompt, User
from annotation.services.batches import seal_batch
from annotation.services.ingest import NewPair, NewResponse, ingest_pairs
from annotation.services.prompts import NewPrompt, add_prompts
from annotation.services.snapshots import create_snapshot
from annotation.sketches import THRESHOLD, normalised, shingles
from annotation.tests.format_rows import DATA
from tests.factories import make_batch

WEEKS = 10
VOCABULARY = (
    "river mountain letter engine garden winter bridge candle market doctor violin harbour kitchen soldier "
    "lantern painter forest teacher island message weather journey village machine library captain blanket "
    "answer number orange window pocket silver thunder meadow corner ladder basket feather mirror compass"
)
WORDS = VOCABULARY.split()


class Writer:
    """Writes a week's prompts: new ones, and old ones again, changed a little, lengthened in steps, or half-way
    between two others. The same seed writes the same."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.written: list[str] = []
        self.ends: list[tuple[str, str, str]] = []

    def week(self) -> list[str]:
        earlier = list(self.written)
        texts = [self._fresh() for _ in range(16)]
        if earlier:
            texts += self.random.sample(earlier, 4)  # handed in once more
            texts += [self._changed(text) for text in self.random.sample(earlier, 8)]
        texts += self._chain(self._fresh())
        texts += self._bridges()
        self.random.shuffle(texts)
        self.written += texts
        return list(dict.fromkeys(texts))

    def _fresh(self) -> str:
        return " ".join(self.random.choice(WORDS) for _ in range(self.random.randint(6, 18)))

    def _changed(self, text: str) -> str:
        words = text.split()
        place = self.random.randrange(len(words))
        match self.random.randrange(5):
            case 0:
                return text.upper()
            case 1:
                return f"{text}?!"
            case 2:
                return " ".join([*words[:place], "the", *words[place:]])
            case 3:
                return " ".join(words[:place] + words[place + 1 :])
            case _:
                return " ".join([*words[1:], words[0]])

    def _chain(self, text: str) -> list[str]:
        """Each resembles the next, the ends hardly each other."""
        links = [text]
        for _ in range(4):
            links.append(f"{links[-1]} {self.random.choice(WORDS)}")
        return links

    def _bridges(self) -> list[str]:
        """Two that are no near-duplicates, and in the week after them one that resembles both."""
        between = [middle for _, _, middle in self.ends]
        body = " ".join(self.random.choice(WORDS) for _ in range(22))
        self.ends = []
        pairs = []
        for _ in range(4):
            words = [self.random.choice(WORDS) for _ in range(24)]
            first, last = " ".join(words[:22]), " ".join(words[3:])
            self.ends.append((first, last, " ".join(words)))
            pairs += [first, last]
        return [*between, *pairs, body]


def judge_all(batch: Batch, annotator: User) -> None:
    """Votes in bulk: how they come in is no matter here."""
    Judgment.objects.bulk_create(
        Judgment(
            comparison=comparison,
            annotator=annotator,
            focus=comparison.focus,
            choice=Choice.A,
            grade=Grade.BETTER,
            safety=SafetyLabel.BOTH_SAFE if comparison.focus == Focus.SAFETY else "",
            source=Judgment.Source.SIMULATED,
        )
        for comparison in batch.comparisons.all()
    )


def run_week(number: int, texts: list[str], annotator: User) -> Batch:
    batch = make_batch(seed=number)
    ingest_pairs(
        batch=batch,
        pairs=[
            NewPair(
                messages=({"role": "user", "content": text},),
                focus=Focus.SAFETY if text.split()[0] < "e" else Focus.HELPFULNESS,
                first=NewResponse(text=f"One of week {number}."),
                second=NewResponse(text=f"Two of week {number}."),
            )
            for text in texts
        ],
    )
    judge_all(batch, annotator)
    return seal_batch(batch=batch)


def check(sides: dict[str, str]) -> int:
    """All pairs of texts on opposite sides, compared by the definition; returns how many there are."""
    train = [(text, shingles(text)) for text, side in sides.items() if side == "train"]
    test = [(text, shingles(text)) for text, side in sides.items() if side == "test"]
    assert not {normalised(text) for text, _ in train} & {normalised(text) for text, _ in test}
    leaks = [(one, other) for one, a in train for other, b in test if len(a & b) >= THRESHOLD * len(a | b)]
    assert leaks == []
    return len(train) * len(test)


def test_no_prompt_nor_near_duplicate_stands_on_both_sides_over_ten_weeks(home: Path, ada: User) -> None:
    writer = Writer(seed=3)
    batches = [run_week(number, writer.week(), ada) for number in range(1, WEEKS + 1)]

    sides = dict(Prompt.objects.values_list("text", "split"))
    assert set(sides.values()) == {"train", "test", "neither"}
    assert check(sides) > 5_000
    for batch in batches:
        drawn = batch.events.latest("pk").detail
        assert drawn["examples"] >= 25
        assert drawn["held_out"] >= drawn["examples"] // 10

    snapshot = create_snapshot(batches=batches)
    data = home / "snapshots" / snapshot.path / "data"
    lines = [line for split in ("train", "test") for line in (data / f"{split}.jsonl").open(encoding="utf-8")]
    records = [PreferenceRecord.from_line(line) for line in lines]
    published = {record.messages[0]["content"]: record.split for record in records}
    assert published == {text: side for text, side in sides.items() if side != "neither"}
    neither = sum(batch.events.latest("pk").detail["neither"] for batch in batches)
    assert snapshot.counts["left out: resembles prompts of both sides"] == neither


def test_among_the_prompts_of_other_houses_there_are_two_near_duplicates(db: None) -> None:
    files = [DATA / "prompt_pool.jsonl.gz", DATA / "red_team_prompts.jsonl.gz"]
    if not all(file.is_file() for file in files):
        pytest.skip("the prompts of other houses are not on this machine")
    texts = [json.loads(line)["prompt"].strip() for file in files for line in open_lines(file)]
    add_prompts(NewPrompt(text=text, focus=Focus.HELPFULNESS) for text in texts)
    # Comparing all 1.2 million pairs with each other finds these two, of 0.82 and 0.86.
    near = Prompt.objects.exclude(cluster=None).order_by("text")
    assert [prompt.text.removeprefix("Can you ")[:30] for prompt in near] == [
        "provide a copy of the emails b",
        "tell me about any classified t",
    ]
