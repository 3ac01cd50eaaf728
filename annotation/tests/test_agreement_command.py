"""Ratings from anybody's file: what is read, what is noted, what is refused, and what is printed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from annotation.core.agreement.__main__ import main
from annotation.core.agreement.weights import Metric, Weighting

ROOT = Path(__file__).resolve().parents[2]
GOOD = "Ada,Ben,Rosa\n1,1,2\n2,2,2\n1,3,3\n3,3,\n,,1\n2,1,3\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ratings.csv"


def answer(
    file: Path, capsys: pytest.CaptureFixture[str], content: str | bytes, *options: str
) -> dict[str, Any]:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main([str(file), "--json", *options]) == 0, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refusal(file: Path, capsys: pytest.CaptureFixture[str], content: str | bytes, *options: str) -> str:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main([str(file), *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def entry(found: dict[str, Any], coefficient: str, **scale: str) -> dict[str, Any]:
    ((key, value),) = scale.items()
    (one,) = (e for e in found["coefficients"] if e["coefficient"] == coefficient and e[key] == value)
    return dict(one)


def test_the_command_runs_by_itself(file: Path) -> None:
    file.write_text(GOOD)
    command = [sys.executable, "-m", "annotation.core.agreement", str(file), "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout)["n_items"] == 6


def test_json_has_every_coefficient_with_every_scale(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(file, capsys, GOOD)
    kinds = ("percent", "brennan_prediger", "conger", "fleiss", "gwet", "krippendorff")
    assert {(e["coefficient"], e["weights"], e["metric"]) for e in found["coefficients"]} == {
        *((kind, weighting, None) for kind in kinds for weighting in Weighting),
        *(("krippendorff", None, metric) for metric in Metric),
    }


def test_json_counts_what_was_read(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(file, capsys, GOOD)
    counts = ("n_items", "n_items_with_two", "n_raters", "n_ratings", "categories", "confidence")
    assert [found[key] for key in counts] == [6, 5, 3, 15, [1, 2, 3], 0.95]


def test_a_coefficient_in_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The second of four items differs. π = 5/8: pe = 2 · 5/8 · 3/8 = 15/32, (24/32 - 15/32) / (17/32) = 9/17.
    found = entry(answer(file, capsys, "Ada,Ben\n1,1\n1,2\n1,1\n2,2\n"), "gwet", weights="identity")
    assert " ".join(found) == (
        "coefficient name label weights metric value pa pe se se_method ci_low ci_high confidence p_value"
        " p_value_one_sided n_items n_raters categories why"
    )
    assert (found["name"], found["label"]) == ("gwet_ac1", "Gwet's AC1, identity weights")
    assert (found["value"], found["pa"], found["pe"]) == pytest.approx((9 / 17, 3 / 4, 15 / 32))


def test_two_raters_have_cohens_kappa(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(file, capsys, "Ada,Ben,Otto\n1,1,\n1,2,\n2,2,\n")
    assert entry(found, "cohen", weights="identity")["value"] == pytest.approx(0.4)
    assert found["notes"] == ["Raters without any rating, left out: Otto."]


def test_the_table_for_people_names_every_scale(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD)
    assert main([str(file)]) == 0
    printed = capsys.readouterr().out
    for scale in (
        *(f"{weighting} weights" for weighting in Weighting),
        *(f"{metric} metric" for metric in Metric),
    ):
        assert f"\n{scale} " in printed


def test_the_table_for_people_says_why_something_is_missing(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("Ada,Ben\nyes,yes\nyes,yes\n")
    assert main([str(file)]) == 0
    assert "Gwet's AC1, Krippendorff's alpha: all ratings are in one category" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffAda,Ben\r\n1,1\r\n1,2\r\n2,2\r\n",
        "Ada;Ben\n1;1\n1;2\n2;2",
        "Ada\tBen\n1\t1\n1\t2\n2\t2\n",
        '"Ada, A.";"Ben, B."\n1;1\n1;2\n2;2\n',
        " Ada , Ben \n 1 , 1\n1,2.0\n\n02,2\n",
        "item,Ada,Ben\nx,1,1\ny,1,2\nz,2,2\n",
        ",Ada,Ben\n0,1,1\n1,1,2\n2,2,2\n",
        "Ada,Ben\n1,1\n,\n1,2\n2,2\n",
    ],
    ids=[
        "BOM and CRLF",
        "semicolons",
        "tabs",
        "quoted names",
        "blanks",
        "items",
        "nameless items",
        "empty item",
    ],
)
def test_files_that_say_the_same(file: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    found = answer(file, capsys, content)
    assert (found["n_items"], found["n_raters"], found["categories"]) == (3, 2, [1, 2])
    assert entry(found, "cohen", weights="identity")["value"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("item,Ada,Ben\nx,1,1\n", "The first column, 'item', is read as the items' names"),
        ("1,2\n1,2\n2,2\n", "The first row is read as the raters' names: 1, 2."),
        ("Ada,Ben\ngood,bad\nfair,fair\n", "in the order of the alphabet"),
        ("Ada,Ben\n1,x\n1,1\n", "read as text, for 'x' (line 2, Ben) is no number"),
        ("Ada,Ben\nyes,NA\nno,no\n", "'NA' (line 2, Ben) is read as a category"),
        ("Ada,Ben\n1,1\n,\n", "Items without any rating, left out: 1."),
    ],
)
def test_a_reading_that_might_surprise_is_noted(
    file: Path, capsys: pytest.CaptureFixture[str], content: str, note: str
) -> None:
    assert note in " ".join(answer(file, capsys, content)["notes"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "the file is empty"),
        ("item\nx\n", "line 1: no column names a rater"),
        ("Ada,\n1,2\n", "line 1: column 2 has no name"),
        ("Ada,Ada\n1,2\n", "line 1: two columns are called 'Ada'"),
        ("Ada,Ben\n1,2\n1\n", "line 3: 1 cells where the header has 2"),
        ("Ada,Ben\n1,2\n1,2,3\n", "line 3: 3 cells where the header has 2"),
        ("item,rater,rating\nx,Ada,1\nx,Ben,2\n", "line 3: item 'x' stands on line 2 already"),
        ("Ada,Ben\n1,NA\n1,2\n", "line 2, Ben: 'NA' is no number, as the other ratings are"),
        ('Ada,Ben\n1,"2\n1,2\n', "check the quotation marks"),
        ("Ada,Ben\n1,1e200\n", "numbers must lie between"),
        (b"Ada,Ben\n1,\xe9\n", "line 2, byte 3: not UTF-8 (0xe9): save the file as UTF-8"),
        (b"\x1f\x8bnot gzip", "damaged or cut short"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str], content: str | bytes, reason: str
) -> None:
    assert reason in refusal(file, capsys, content)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.csv")]) == 2
    assert "none.csv: No such file" in capsys.readouterr().err


def test_missing_names_further_cells_without_a_rating(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(file, capsys, "Ada,Ben\n1,NA\n1,1\n-,2\n", "--missing", "NA,-")
    assert (found["n_ratings"], found["categories"]) == (4, [1, 2])


def test_categories_give_the_order_and_those_that_nobody_used(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(file, capsys, "Ada,Ben\ngood,bad\nbad,bad\n", "--categories", "bad, fair ,good")
    assert (found["categories"], found["notes"]) == (["bad", "fair", "good"], [])
    # Bad and good are two steps of two apart.
    assert entry(found, "percent", weights="linear")["value"] == pytest.approx(0.5)


def test_a_category_that_is_not_named_is_refused(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = "Ada,Ben\n1,2\n1,3\n"
    assert "line 3, Ben: '3' is none of the categories 1, 2" in refusal(
        file, capsys, content, "--categories", "1,2"
    )


@pytest.mark.parametrize("confidence", ["95", "0", "1", "nan", "much"])
def test_a_confidence_that_is_no_share_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str], confidence: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([str(file), "--confidence", confidence])
    assert "such as 0.95" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    ["20,5\n10,15\n", "1,2\n20,5\n10,15\n", ",1,2\n1,20,5\n2,10,15\n"],
    ids=["counts alone", "with a header", "with a first column"],
)
def test_a_contingency_table(file: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    found = answer(file, capsys, content, "--table")
    assert (found["n_items"], found["n_raters"], found["categories"]) == (50, 2, [1, 2])
    assert entry(found, "cohen", weights="identity")["value"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        ("", [], "the file is empty"),
        ("20,5\n10,x\n", [], "line 2: 'x' is no count of items"),
        ("20,5\n10,15\n1,2\n", [], "line 2"),
        (",a,b\na,20,5\nc,10,15\n", [], "the first column must name the same categories"),
        ("a,b\n20,5\n10,15\n", ["--categories", "a,c"], "leave --categories out"),
        ("20,5\n10,15\n", ["--categories", "a,b,c"], "2 rows and 3 categories"),
    ],
)
def test_a_table_that_is_none_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str], content: str, options: list[str], reason: str
) -> None:
    assert refusal(file, capsys, content, "--table", *options)


def test_the_example_of_the_manual_is_what_is_printed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manual = (ROOT / "docs" / "agreement.md").read_text(encoding="utf-8")
    content, printed = (re.findall(rf"```{kind}\n(.*?)```", manual, re.DOTALL)[0] for kind in ("csv", "text"))
    file.write_text(content)
    assert main([str(file)]) == 0
    assert capsys.readouterr().out.startswith(printed)


def test_the_manual_and_the_help_name_every_key(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(file, capsys, GOOD)
    with pytest.raises(SystemExit):
        main(["--help"])
    words = re.findall(r"\w+", capsys.readouterr().out)
    manual = (ROOT / "docs" / "agreement.md").read_text(encoding="utf-8")
    keys = {*found, *found["coefficients"][0], *(e["coefficient"] for e in found["coefficients"])}
    scales = {*Weighting, *Metric}
    assert (keys | scales) - set(words) == set()
    assert {key for key in keys | scales if f"`{key}`" not in manual} == set()
