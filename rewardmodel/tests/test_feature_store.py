"""Features that runs share: found by content, checked, bounded, and safe wherever somebody is killed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from rewardmodel.core import feature_store, features
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.feature_store import Chunk, FeatureStore, read_chunk, row_key, write_chunk
from rewardmodel.core.features import extract
from rewardmodel.core.layout import Batch
from rewardmodel.core.network import RewardNetwork
from rewardmodel.core.report import Reporter, Silent
from rewardmodel.core.rows import Row
from rewardmodel.tests.examples import Notes
from rewardmodel.tests.pairs import tiny_network


@pytest.fixture
def network(tiny: PolicyRef) -> RewardNetwork:
    return tiny_network(tiny, "probe")


@pytest.fixture
def passes(network: RewardNetwork, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each pass of the network."""
    compute, seen = network.features, []

    def counting(batch: Batch, starts: list[int]) -> torch.Tensor:
        seen.append(len(batch.rows))
        return compute(batch, starts)

    monkeypatch.setattr(network, "features", counting)
    monkeypatch.setattr(features, "CHUNK_TOKENS", 40)
    return seen


def rows(*numbers: int) -> list[Row]:
    """Twelve tokens each, of which no two rows share the first."""
    return [Row((n, *range(11)), 4) for n in numbers]


def read(
    network: RewardNetwork,
    wanted: list[Row],
    cache: Path,
    work: Path,
    *,
    backbone: str = "tiny",
    report: Reporter | None = None,
) -> torch.Tensor:
    return extract(
        network,
        wanted,
        tokens_per_batch=30,
        cache=cache,
        work=work,
        backbone=backbone,
        report=report or Silent(),
    )


def test_the_next_week_computes_its_new_rows_alone(
    network: RewardNetwork, passes: list[int], tmp_path: Path
) -> None:
    first = read(network, rows(1, 2, 3, 4), tmp_path / "cache", tmp_path / "week-1")
    assert sum(passes) == 4
    notes = Notes()
    second = read(network, rows(5, 2, 1, 6, 3, 4), tmp_path / "cache", tmp_path / "week-2", report=notes)
    assert sum(passes) == 6
    assert notes.notes == ["4 of 6 responses were encoded before."]
    assert torch.equal(second[[2, 1, 4, 5]], first)
    fresh = read(network, rows(5, 6), tmp_path / "other", tmp_path / "alone")
    assert torch.equal(second[[0, 3]], fresh)


def test_rows_are_told_apart_by_their_tokens_and_where_the_response_begins() -> None:
    keys = {row_key(Row(tokens, start)) for tokens, start in [((1, 2, 3), 1), ((1, 2, 3), 2), ((1, 2, 4), 1)]}
    assert len(keys) == 3
    assert row_key(Row((1, 2, 3), 1)) in keys


def test_another_backbone_finds_nothing(network: RewardNetwork, passes: list[int], tmp_path: Path) -> None:
    read(network, rows(1, 2), tmp_path / "cache", tmp_path / "a", backbone="one")
    read(network, rows(1, 2), tmp_path / "cache", tmp_path / "b", backbone="other")
    assert sum(passes) == 4


class KilledError(BaseException):
    """Stands for kill -9: nothing catches it."""


class Dies(Silent):
    """Dies once so many rows are there."""

    def __init__(self, at: int) -> None:
        self.at = at

    def progress(self, done: int, total: int, unit: str) -> None:
        if done >= self.at:
            raise KilledError


@pytest.mark.parametrize("at", [0, 3, 5, 8])
def test_a_killed_run_ends_alike_whatever_others_put_into_the_store_meanwhile(
    network: RewardNetwork, passes: list[int], tmp_path: Path, at: int
) -> None:
    wanted, cache = rows(*range(8)), tmp_path / "cache"
    read(network, rows(7, 0), cache, tmp_path / "earlier")
    shutil.copytree(cache, tmp_path / "copy")
    expected = read(network, wanted, tmp_path / "copy", tmp_path / "whole")
    with pytest.raises(KilledError):
        read(network, wanted, cache, tmp_path / "killed", report=Dies(at))
    read(network, rows(3, 9, 5, 1), cache, tmp_path / "somebody")  # the same rows in other batches
    shutil.rmtree(cache / "features")  # and everything was forgotten
    found = read(network, wanted, cache, tmp_path / "killed")
    assert torch.equal(found, expected)


def test_a_run_that_is_done_computes_nothing_when_it_is_started_again(
    network: RewardNetwork, passes: list[int], tmp_path: Path
) -> None:
    one = read(network, rows(1, 2, 3), tmp_path, tmp_path)
    before = len(passes)
    assert torch.equal(read(network, rows(1, 2, 3), tmp_path, tmp_path), one)
    assert len(passes) == before


def damaged(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1  # the last bit of the last feature
    file.unlink()
    file.write_bytes(content)


@pytest.mark.parametrize("harm", ["bit", "half", "empty"])
def test_a_damaged_file_is_found_out_and_its_rows_are_computed_again(
    network: RewardNetwork, passes: list[int], tmp_path: Path, harm: str
) -> None:
    expected = read(network, rows(1, 2), tmp_path / "cache", tmp_path / "a")
    for file in (tmp_path / "cache").rglob("*.safetensors"):
        content = bytearray(file.read_bytes())
        content[-1] ^= 1  # the last bit of the last feature
        file.unlink()
        file.write_bytes({"bit": bytes(content), "half": bytes(content[:200]), "empty": b""}[harm])
    again = read(network, rows(1, 2), tmp_path / "cache", tmp_path / "b")
    assert torch.equal(again, expected)
    assert sum(passes) == 4
    (kept,) = (tmp_path / "cache").rglob("*.safetensors")  # the good one stands where the bad one stood
    assert read_chunk(kept) is not None


def test_a_damaged_file_of_the_run_itself_is_computed_again(
    network: RewardNetwork, passes: list[int], tmp_path: Path
) -> None:
    read(network, rows(1, 2), tmp_path / "cache", tmp_path / "first")
    expected = read(network, rows(1, 2, 3), tmp_path / "cache", tmp_path / "work")
    for file in (tmp_path / "work").rglob("*.safetensors"):
        damaged(file)
    assert torch.equal(read(network, rows(1, 2, 3), tmp_path / "cache", tmp_path / "work"), expected)


def chunk(*numbers: int) -> Chunk:
    keys = tuple(row_key(row) for row in rows(*numbers))
    return Chunk(keys, torch.full((len(keys), 100), float(numbers[0])))


def stored(store: FeatureStore, folder: Path, *numbers: int) -> None:
    folder.mkdir(exist_ok=True)
    made = chunk(*numbers)
    write_chunk(folder / f"{numbers}.safetensors", made)
    store.add(folder / f"{numbers}.safetensors", made)


def test_what_was_not_used_for_longest_is_forgotten_first(tmp_path: Path) -> None:
    size = _size_of_one(tmp_path)
    store = FeatureStore(tmp_path / "cache", "tiny", limit=2 * size + size // 2)
    for age, number in enumerate((1, 2, 3)):
        stored(store, tmp_path / "work", number)
        (path,) = store.find([row_key(rows(number)[0])]).values()
        os.utime(path, ns=(age, age))
    (used,) = store.find([row_key(rows(1)[0])]).values()
    assert store.lend(used, tmp_path / "lent.safetensors") is not None
    store.trim()
    left = store.find([row_key(row) for row in rows(1, 2, 3)])
    assert set(left) == {row_key(row) for row in rows(1, 3)}


def _size_of_one(tmp_path: Path) -> int:
    write_chunk(tmp_path / "one.safetensors", chunk(0))
    return (tmp_path / "one.safetensors").stat().st_size


def test_what_was_lent_stays_when_the_store_forgets_it(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "cache", "tiny", limit=0)
    stored(store, tmp_path / "work", 1)
    (path,) = store.find([row_key(rows(1)[0])]).values()
    store.lend(path, tmp_path / "lent.safetensors")
    store.trim()
    assert not path.exists()
    kept = read_chunk(tmp_path / "lent.safetensors")
    assert kept is not None
    assert kept.sha256 == chunk(1).sha256
    assert store.lend(path, tmp_path / "again.safetensors") is None


def test_two_that_add_the_same_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "cache", "tiny")
    for folder in ("one", "other"):
        stored(store, tmp_path / folder, 1)
    (kept,) = (tmp_path / "cache").rglob("*.safetensors")
    assert read_chunk(kept) is not None


def test_a_file_system_without_links_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refused)
    store = FeatureStore(tmp_path / "cache", "tiny")
    stored(store, tmp_path / "work", 1)
    (path,) = store.find([row_key(rows(1)[0])]).values()
    assert path.stat().st_nlink == 1
    assert store.lend(path, tmp_path / "lent.safetensors") is not None


def test_what_a_killed_process_left_half_copied_is_swept_after_a_day(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "cache", "tiny")
    stored(store, tmp_path / "work", 1)
    (path,) = store.find([row_key(rows(1)[0])]).values()
    old, young = path.with_name(".old.tmp"), path.with_name(".young.tmp")
    for file in (old, young):
        file.write_bytes(b"half")
    os.utime(old, (0, 0))
    store.trim()
    assert (old.exists(), young.exists(), path.exists()) == (False, True, True)


def test_the_limit_is_two_gibibytes() -> None:
    assert feature_store.LIMIT_BYTES == 2 * 1024**3


def test_no_rows_are_no_features(network: RewardNetwork, tmp_path: Path) -> None:
    assert len(read(network, [], tmp_path, tmp_path)) == 0
