"""Prompts come into the pool, are labelled and get their difficulty."""

from __future__ import annotations

import gzip
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from annotation.core.formats.base import BadRow
from annotation.core.formats.lines import UnreadableFileError
from annotation.core.formats.prompts import ImportedPrompt, PromptForm, form_of, read_prompts
from annotation.core.grades import Focus
from annotation.errors import ConflictError, InvalidImportError
from annotation.models import AuditEvent, Prompt, User
from annotation.services.labels import InvalidLabelsError, Labels, categorise_prompts, pool_prompts
from annotation.services.pool import install_default_prompts
from annotation.services.prompts import (
    NewPrompt,
    ResemblesError,
    add_prompts,
    import_prompts,
    set_difficulties,
    write_prompt,
)

STORY = "Please write a short story about a dragon who learns to fly over the mountains"
TALE = "Write a short story about a dragon who learns to fly over the mountains"


def read_json(*rows: dict[str, Any], **options: Any) -> list[ImportedPrompt | BadRow]:
    return list(read_prompts(map(json.dumps, rows), form=PromptForm.JSONL, **options))


def read_csv(text: str, **options: Any) -> list[ImportedPrompt | BadRow]:
    return list(read_prompts(text.splitlines(), form=PromptForm.CSV, **options))


def new(text: str, **columns: Any) -> NewPrompt:
    return NewPrompt(text=text, focus=Focus.HELPFULNESS, **columns)


# Files


def test_a_row_of_json_with_all_its_fields() -> None:
    (prompt,) = read_json(
        {
            "prompt": " Pick this lock.\r\nNow. ",
            "focus": "safety",
            "topic": "crime",
            "risk": "illicit",
            "attack": "Non-English",
            "language": "zh_Hans",
            "turns": 3,
            "source": "Ada",
            "license": "CC0",
            "difficulty": 0.25,
            "id": 17,
        }
    )
    assert prompt == ImportedPrompt(
        line=1,
        text="Pick this lock.\nNow.",
        focus=Focus.SAFETY,
        category="crime",
        risk="illicit",  # type: ignore[arg-type]
        attack="non_english",  # type: ignore[arg-type]
        language="zh-hans",
        turns=3,
        source="Ada",
        licence="CC0",
        difficulty=0.25,
    )


def test_a_row_of_csv_is_the_same_row() -> None:
    text = (
        "Prompt, focus ,topic,risk,attack,language,turns,difficulty,licence\n"
        '"Say ""yes"",\nor no.",safety,crime,unqualified advice,psychological,en,3,0.25,\n'
        "\n"
        "=1+1,helpfulness,,,,,,,\n"
    )
    first, second = read_csv(text)
    assert first == ImportedPrompt(
        line=3,
        text='Say "yes",\nor no.',
        focus=Focus.SAFETY,
        category="crime",
        risk="unqualified_advice",  # type: ignore[arg-type]
        attack="psychological",  # type: ignore[arg-type]
        language="en",
        turns=3,
        difficulty=0.25,
    )
    # A formula is a prompt like any other, kept as it stands.
    assert second == ImportedPrompt(line=5, text="=1+1", focus=Focus.HELPFULNESS)


def test_what_a_row_does_not_say_is_said_for_the_whole_file() -> None:
    one, other = read_json(
        {"text": "Why?"},
        {"text": "How?", "focus": "safety", "language": "de"},
        focus=Focus.HELPFULNESS,
        language="en",
    )
    assert isinstance(one, ImportedPrompt)
    assert isinstance(other, ImportedPrompt)
    assert (one.focus, one.language) == (Focus.HELPFULNESS, "en")
    assert (other.focus, other.language) == (Focus.SAFETY, "de")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "Why?"}, "focus is missing"),
        ({"focus": "safety"}, "text is missing"),
        ({"text": " ", "focus": "safety"}, "text is empty"),
        ({"text": None, "focus": "safety"}, "text must be text, not null"),
        ({"text": "Why?", "prompt": "How?", "focus": "safety"}, "give either text or prompt"),
        ({"text": "x" * 20_001, "focus": "safety"}, "text has 20,001 characters: 20,000 are the most"),
        ({"text": "Why?", "focus": "harm"}, "focus is 'harm': use one of helpfulness, safety"),
        ({"text": "Why?", "focus": "safety", "risk": "fire"}, "risk is 'fire': use one of illicit, "),
        (
            {"text": "Why?", "focus": "safety", "attack": "brute"},
            "attack is 'brute': use one of psychological, ",
        ),
        ({"text": "Why?", "focus": "safety", "language": "English"}, "use a code such as en"),
        ({"text": "Why?", "focus": "safety", "turns": 0}, "turns is 0: use a whole number from 1 to 100"),
        ({"text": "Why?", "focus": "safety", "difficulty": 2}, "difficulty is 2: use a number from 0 to 1"),
        ({"text": "Why?", "focus": "safety", "intents": []}, "'intents' is not a field: use text, focus, "),
        ({"text": "a\x00b", "focus": "safety"}, "NUL"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(row: dict[str, Any], reason: str) -> None:
    bad, good = read_json(row, {"text": "Fine.", "focus": "safety"})
    assert isinstance(bad, BadRow)
    assert (bad.line, reason in bad.reason) == (1, True), bad.reason
    assert isinstance(good, ImportedPrompt)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("Why,safety,two,", "turns is 'two': use a whole number"),
        ("Why,safety,,hard", "difficulty is 'hard': use a number"),
        ("Why,safety,,nan", "difficulty is nan: use a number"),
        ("Yes, no,safety,1,", "5 cells for 4 columns"),
        (",safety,1,", "text is missing"),
    ],
)
def test_a_row_of_csv_that_cannot_be_used_says_why(row: str, reason: str) -> None:
    bad, good = read_csv(f"text,focus,turns,difficulty\n{row}\nFine,safety,,\n")
    assert isinstance(bad, BadRow)
    assert (bad.line, reason in bad.reason) == (2, True), bad.reason
    assert isinstance(good, ImportedPrompt)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1: the first line names the columns"),
        ("Why?\n", "line 1: the first line names the columns"),
        ("text;focus\n", "line 1: the first line names the columns"),
        ("text,focus,esay\n", "line 1: 'esay' is not a column: use text, "),
        ("text,text\n", "line 1: the column text is there twice"),
        ('text,focus\n"never closed,safety\nand on\n', "line 3: unexpected end of data"),
        ('text,focus\n"' + "x" * 140_000 + '",safety\n', "line 2: field larger"),
    ],
)
def test_a_csv_that_cannot_be_read_says_where(text: str, reason: str) -> None:
    with pytest.raises(UnreadableFileError) as refused:
        read_csv(text)
    assert reason in str(refused.value)


def test_a_files_name_says_its_form() -> None:
    assert [form_of(name) for name in ("a.csv", "A.CSV.GZ", "a.jsonl", "a")] == [
        "csv",
        "csv",
        "jsonl",
        "jsonl",
    ]


# The pool


def test_a_prompt_is_in_the_pool_once(db: None) -> None:
    prompt = new("Why?")
    assert [add_prompts([prompt, prompt]) for _ in range(2)] == [1, 0]
    assert Prompt.objects.get().in_pool


def test_a_prompt_that_was_stored_before_can_join_the_pool(db: None) -> None:
    add_prompts([new("Why?", category="reasons")])
    Prompt.objects.update(in_pool=False)
    assert add_prompts([new("Why?", category="other")]) == 1
    assert (Prompt.objects.get().in_pool, Prompt.objects.get().category) == (True, "reasons")


def test_the_prompts_of_the_house_are_no_near_duplicates(db: None) -> None:
    assert install_default_prompts() == Prompt.objects.filter(cluster=None, in_pool=True).count() > 90


def test_an_import_reports_what_it_did(db: None, rosa: User) -> None:
    add_prompts([new(STORY), new("Why?"), new("How?")])
    Prompt.objects.filter(text="How?").update(in_pool=False)
    rows = [{"text": text} for text in ("Why?", "How?", "Who?", "Who?", TALE)]
    report = import_prompts(items=read_json(*rows, focus=Focus.SAFETY), name="a.jsonl", by=rosa)
    assert (report.new, report.joined, report.already, report.repeated) == (2, 1, 1, 1)
    assert [(near.text, near.other) for near in report.near] == [(TALE, STORY)]
    event = AuditEvent.objects.get()
    assert (event.action, event.actor, event.object_name) == ("prompt.imported", rosa, "How?")
    assert event.detail == {"file": "a.jsonl", "new": 2, "joined": 1}


def test_an_import_is_all_or_nothing(db: None) -> None:
    rows: list[dict[str, Any]] = [{"text": f"Question {n * n * 7919}?"} for n in range(3)]
    rows[1]["turns"], rows[2]["risk"] = 0, "fire"
    with pytest.raises(InvalidImportError) as refused:
        import_prompts(items=read_json(*rows, focus=Focus.SAFETY), name="a")
    assert [error["line"] for error in refused.value.errors] == [2, 3]
    assert not Prompt.objects.exists()
    report = import_prompts(items=read_json(*rows, focus=Focus.SAFETY), name="a", skip_invalid=True)
    assert (report.new, len(report.bad_rows)) == (1, 2)


def test_all_labels_are_stored(db: None) -> None:
    labels = {"category": "crime", "risk": "illicit", "attack": "logic", "language": "de", "turns": 2}
    import_prompts(items=read_json({"text": "Why?", "difficulty": 0, **labels}, focus=Focus.SAFETY), name="a")
    prompt = Prompt.objects.get()
    assert {name: getattr(prompt, name) for name in labels} == labels
    assert (prompt.difficulty, prompt.difficulty_from) == (0, {"stated": "import"})


def test_a_near_duplicate_is_written_only_on_purpose(db: None, rosa: User) -> None:
    write_prompt(prompt=new(STORY), by=rosa)
    with pytest.raises(ResemblesError, match=r"It resembles a prompt by 0\.91: “Please write") as refused:
        write_prompt(prompt=new(TALE), by=rosa)
    assert [prompt.text for prompt, _ in refused.value.near] == [STORY]
    written = write_prompt(prompt=new(TALE), despite=True, by=rosa)
    assert written.cluster == Prompt.objects.get(text=STORY)
    assert [event.action for event in AuditEvent.objects.all()] == ["prompt.written"] * 2


def test_a_prompt_of_the_pool_is_not_written_again(db: None) -> None:
    write_prompt(prompt=new("Why?"))
    with pytest.raises(ConflictError, match="has this prompt already"):
        write_prompt(prompt=new("Why?"), despite=True)


def test_prompts_are_taken_out_of_the_pool_and_back(db: None, rosa: User) -> None:
    add_prompts([new("Why?"), new("How?")])
    keys = list(Prompt.objects.values_list("pk", flat=True))
    assert pool_prompts(prompts=keys[:1], in_pool=False, by=rosa) == 1
    assert pool_prompts(prompts=keys, in_pool=False, by=rosa) == 1
    assert pool_prompts(prompts=keys, in_pool=True, by=rosa) == 2
    actions = ["prompt.taken_out"] * 2 + ["prompt.pooled"] * 2
    assert list(AuditEvent.objects.order_by("pk").values_list("action", flat=True)) == actions


def test_labels_change_what_differs_and_leave_the_rest(db: None, rosa: User) -> None:
    add_prompts([new("Why?", category="law"), new("How?", category="love")])
    keys = list(Prompt.objects.values_list("pk", flat=True))
    labels = Labels(category="law", risk="", language="EN")
    assert categorise_prompts(prompts=keys, labels=labels, by=rosa) == 2
    assert categorise_prompts(prompts=keys, labels=labels, by=rosa) == 0
    assert set(Prompt.objects.values_list("category", "language", "turns")) == {("law", "en", 1)}
    event = AuditEvent.objects.get(object_name="How?")
    assert event.detail == {
        "before": {"category": "love", "language": ""},
        "after": {"category": "law", "language": "en"},
    }


@pytest.mark.parametrize(
    ("labels", "fields"),
    [
        (Labels(risk="fire"), ["risk"]),
        (Labels(attack="brute", turns=0), ["attack", "turns"]),
        (Labels(language="English"), ["language"]),
        (Labels(category="x" * 101), ["category"]),
    ],
)
def test_labels_that_cannot_be_are_refused(db: None, labels: Labels, fields: list[str]) -> None:
    add_prompts([new("Why?")])
    with pytest.raises(InvalidLabelsError) as refused:
        categorise_prompts(prompts=[Prompt.objects.get().pk], labels=labels)
    assert [error["field"] for error in refused.value.errors] == fields


# Difficulty


def difficulty_of(*texts: str) -> list[float | None]:
    return [Prompt.objects.get(text=text).difficulty for text in texts]


@pytest.fixture
def three(db: None) -> dict[str, str]:
    """Keys of three prompts by their texts."""
    add_prompts([new("Why?"), new("How?"), new("Who?")])
    return dict(Prompt.objects.values_list("text", "key"))


def test_low_rewards_make_a_prompt_hard(three: dict[str, str]) -> None:
    rewards = {three["Why?"]: [2.0, 4.0], three["How?"]: [-1.0, 1.0]}
    assert set_difficulties(rewards=rewards, reward_model="R1") == 2
    # Of two, the lower has the percentiles 1/4 and the higher 3/4.
    assert difficulty_of("Why?", "How?", "Who?") == [0.25, 0.75, None]
    basis = {"reward_model": "R1", "k": 2, "mean": 3.0, "best": 4.0}
    assert Prompt.objects.get(text="Why?").difficulty_from == basis


def test_a_prompt_is_ranked_among_all_that_the_reward_model_has_scored(three: dict[str, str]) -> None:
    set_difficulties(rewards={three["Why?"]: [2.0], three["How?"]: [0.0]}, reward_model="R1")
    assert set_difficulties(rewards={three["Who?"]: [1.0]}, reward_model="R1") == 1
    assert difficulty_of("Why?", "Who?", "How?") == [0.1667, 0.5, 0.8333]


def test_another_reward_model_ranks_its_own_alone(three: dict[str, str]) -> None:
    set_difficulties(rewards={three["Why?"]: [2.0], three["How?"]: [0.0]}, reward_model="R1")
    set_difficulties(rewards={three["How?"]: [9.0], "unknown": [1.0]}, reward_model="R2")
    assert difficulty_of("Why?", "How?", "Who?") == [0.25, 0.5, None]


# The command


def run(path: Path, **options: Any) -> str:
    out = StringIO()
    call_command("add_prompts", str(path), stdout=out, stderr=out, **options)
    return out.getvalue()


def test_the_command_reads_a_packed_csv_and_says_what_it_did(db: None, tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(f"text,focus\n{STORY},helpfulness\n{TALE},safety\n".encode()))
    said = run(path)
    assert "near-duplicate (0.91): 'Write a short story" in said
    assert "2 new prompts, 1 of them near-duplicates of others" in said
    assert "2 in the pool before" in run(path)


def test_a_rehearsal_stores_nothing(db: None, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "Why?"}\n')
    said = run(path, focus="safety", language="en", dry_run=True)
    assert "1 new prompts" in said
    assert "Nothing was stored" in said
    assert not Prompt.objects.exists()


def test_the_command_names_bad_lines_and_stores_nothing(db: None, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "Why?", "focus": "safety"}\nnonsense\n')
    out = StringIO()
    with pytest.raises(CommandError, match="nothing was"):
        call_command("add_prompts", str(path), stderr=out)
    assert out.getvalue().startswith("line 2: not JSON")
    assert "1 bad rows" in run(path, skip_invalid=True)


@pytest.mark.parametrize(("form", "options"), [("jsonl", {}), ("csv", {"skip_invalid": True})])
def test_a_file_that_is_no_text_is_refused(
    db: None, tmp_path: Path, form: str, options: dict[str, Any]
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"text,focus\n\x80\xff\x00")
    with pytest.raises(CommandError, match=r"line 2, byte 1: not UTF-8"):
        run(path, form=form, **options)
    assert not Prompt.objects.exists()


def test_a_missing_file_and_a_language_that_is_none_are_said(db: None, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no file"):
        run(tmp_path / "none")
    (tmp_path / "a").write_text("")
    with pytest.raises(CommandError, match="--language is 'English'"):
        run(tmp_path / "a", language="English")
