"""Near-duplicates: found as they come in, and never on both sides of the hold-out."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations
from threading import Barrier

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from annotation.core.grades import Focus
from annotation.core.records import prompt_key
from annotation.models import Batch, Comparison, Prompt, PromptBand, User
from annotation.services.batches import seal_batch
from annotation.services.duplicates import insert_prompts, link_near_duplicates, near_prompts
from annotation.services.holdout import draw_holdout
from annotation.sketches import BANDS, THRESHOLD, shingles
from tests.factories import make_batch, make_comparisons, make_judgment, make_user

Pairs = Callable[..., list[Comparison]]

STORY = "Please write a short story about a dragon who learns to fly over the mountains"
TALE = "Write a short story about a dragon who learns to fly over the mountains"
DRAGON = "about a dragon who learns to fly over the mountains of the north, and what he finds there"
MOUSE = "of a mouse who sails a paper boat down the river to the sea, told by her grandmother"
TRAIN, TEST, NEITHER, UNDRAWN = "train", "test", "neither", ""


def plain_jaccard(one: str, other: str) -> float:
    """The definition, without hashes."""
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def add(*texts: str) -> list[Prompt]:
    insert_prompts(
        prompts=[Prompt(key=prompt_key(text), text=text, focus=Focus.HELPFULNESS) for text in texts]
    )
    return [Prompt.objects.get(key=prompt_key(text)) for text in texts]


def side(prompt: Prompt, split: str) -> None:
    """Its cluster is drawn."""
    Prompt.objects.filter(pk=prompt.pk).update(split=split)
    Prompt.objects.filter(cluster=prompt.pk).update(split=split)


def leaks() -> list[tuple[str, str]]:
    """Pairs that break the law, found by comparing all with all."""
    rows = list(Prompt.objects.filter(split__in=[TRAIN, TEST]).order_by("pk"))
    return [
        (a.text, b.text)
        for a, b in combinations(rows, 2)
        if a.split != b.split and plain_jaccard(a.text, b.text) >= THRESHOLD
    ]


# Clusters


def test_near_duplicates_share_a_cluster_named_by_the_oldest(db: None) -> None:
    first, second, stranger = add(STORY, TALE, f"Write a poem {MOUSE}")
    assert (first.cluster, second.cluster, stranger.cluster) == (None, first, None)


def test_a_chain_is_one_cluster(db: None) -> None:
    # Each link resembles the next; the ends, at a distance of three changes, do not resemble each other.
    links = [
        f"Tell me a story {DRAGON}",
        f"Tell me a story {DRAGON}, please do",
        f"Tell me a story {DRAGON}, please do it now",
        f"Tell me a story {DRAGON}, please do it now, my friend",
    ]
    assert plain_jaccard(links[0], links[3]) < THRESHOLD
    first, *others = add(*links)
    assert {prompt.cluster for prompt in others} == {first}


def test_a_prompt_between_two_clusters_makes_them_one(db: None) -> None:
    short, long = f"Tell me a story {DRAGON}", f"Tell me a story {DRAGON}, please do it now, my friend"
    first, second = add(short, long)
    (third,) = add(f"Tell me a story {DRAGON}, please do it")
    second.refresh_from_db()
    assert second.cluster == third.cluster == first


def test_equal_texts_are_one_prompt(db: None) -> None:
    assert add(STORY)[0] == add(STORY)[0]
    assert PromptBand.objects.count() == BANDS


def test_texts_that_differ_in_case_alone_are_near_duplicates(db: None) -> None:
    first, second = add(STORY, STORY.upper())
    assert second.cluster == first


def test_what_a_text_resembles_is_told_closest_first(db: None) -> None:
    add(STORY, f"{STORY}, and then over the sea", MOUSE)
    found = near_prompts(text=TALE)
    assert [prompt.text for prompt, _ in found] == [STORY, f"{STORY}, and then over the sea"][: len(found)]
    assert [likeness for _, likeness in found] == [plain_jaccard(TALE, prompt.text) for prompt, _ in found]
    assert near_prompts(text="Something else altogether?") == []


def test_the_pairs_that_were_found_are_told(db: None) -> None:
    (first,) = add(STORY)
    (near,) = insert_prompts(prompts=[Prompt(key=prompt_key(TALE), text=TALE, focus=Focus.SAFETY)])
    assert near.other == first.pk
    assert near.similarity == plain_jaccard(STORY, TALE)


# Sides


@pytest.mark.parametrize("split", [TRAIN, TEST])
def test_a_newcomer_takes_the_side_of_what_it_resembles(db: None, split: str) -> None:
    (first,) = add(STORY)
    side(first, split)
    assert add(TALE)[0].split == split


def test_a_cluster_without_a_side_takes_the_side_of_what_it_becomes_one_with(db: None) -> None:
    short, long = f"Tell me a story {DRAGON}", f"Tell me a story {DRAGON}, please do it now, my friend"
    _, second = add(short, long)
    side(second, TEST)
    add(f"Tell me a story {DRAGON}, please do it")
    assert set(Prompt.objects.values_list("split", flat=True)) == {TEST}


def bridge() -> tuple[Prompt, Prompt, Prompt]:
    """A prompt for training, one for testing, and one that came later and resembles both."""
    short, long = f"Tell me a story {DRAGON}", f"Tell me a story {DRAGON}, please do it now, my friend"
    first, second = add(short, long)
    side(first, TRAIN)
    side(second, TEST)
    (between,) = add(f"Tell me a story {DRAGON}, please do it")
    first.refresh_from_db()
    second.refresh_from_db()
    return first, second, between


def test_what_resembles_both_sides_is_on_neither_and_changes_nothing(db: None) -> None:
    first, second, between = bridge()
    assert (first.split, second.split, between.split) == (TRAIN, TEST, NEITHER)
    assert (first.cluster, second.cluster, between.cluster) == (None, None, None)


def test_what_resembles_a_prompt_of_neither_side_goes_by_its_other_likenesses(db: None) -> None:
    first, _, between = bridge()
    (copy,) = add(between.text.upper())
    assert copy.split == NEITHER
    assert add(first.text.upper())[0].split == TRAIN
    assert leaks() == []


def test_what_resembles_a_prompt_of_neither_side_alone_is_drawn_like_any_other(db: None) -> None:
    _, _, between = bridge()
    Prompt.objects.exclude(pk=between.pk).delete()
    (copy,) = add(between.text.upper())
    assert (copy.split, copy.cluster) == (UNDRAWN, None)


def test_prompts_from_before_there_were_bands_are_linked_before_a_hold_out_is_drawn(
    week: Batch, ada: User, pairs: Pairs
) -> None:
    old = [
        Prompt.objects.create(key=prompt_key(text), text=text, focus=Focus.HELPFULNESS, split=split)
        for text, split in ((STORY, TRAIN), (MOUSE, TRAIN))
    ]
    (new,) = add(TALE)
    assert (new.split, new.cluster) == (UNDRAWN, None)
    draw_holdout(week)
    new.refresh_from_db()
    assert (new.split, new.cluster) == (TRAIN, old[0])
    assert link_near_duplicates() == []


def test_sides_that_were_given_before_there_were_bands_and_contradict_each_other_are_resolved(
    db: None,
) -> None:
    for text, split in ((STORY, TRAIN), (TALE, TEST)):
        Prompt.objects.create(key=prompt_key(text), text=text, focus=Focus.HELPFULNESS, split=split)
    link_near_duplicates()
    assert sorted(Prompt.objects.values_list("split", flat=True)) == [NEITHER, TRAIN]
    assert leaks() == []


def test_linking_all_anew_changes_nothing(db: None) -> None:
    bridge()
    add(STORY, TALE, STORY.upper(), MOUSE)
    before = list(Prompt.objects.order_by("pk").values_list("pk", "cluster", "split"))
    PromptBand.objects.all().delete()
    link_near_duplicates()
    assert list(Prompt.objects.order_by("pk").values_list("pk", "cluster", "split")) == before
    assert PromptBand.objects.count() == BANDS * len(before)


# The hold-out


def test_a_cluster_is_drawn_whole_with_its_members_of_other_weeks(
    week: Batch, ada: User, pairs: Pairs
) -> None:
    pairs(20)
    for _ in range(20):
        make_judgment(ada)
    prompts = list(Prompt.objects.order_by("pk"))
    add(*(f"{prompt.text.upper()}!" for prompt in prompts))
    assert draw_holdout(week) == {"examples": 20, "held_out": 2, "neither": 0}
    assert Prompt.objects.filter(split=TEST).count() == 4
    assert Prompt.objects.filter(split=UNDRAWN).count() == 0
    assert leaks() == []


def test_examples_on_neither_side_are_counted_apart(week: Batch, ada: User, pairs: Pairs) -> None:
    pairs(11)
    for _ in range(11):
        make_judgment(ada)
    Prompt.objects.filter(pk=Prompt.objects.earliest("pk").pk).update(split=NEITHER)
    assert draw_holdout(week) == {"examples": 10, "held_out": 1, "neither": 1}


# The law


SEEDS = (
    "write a story about a dragon who learns to fly over the mountains of the north",
    "write a story about a dragon who learns to swim across the mountains of the north",
    "explain to a child why the sky is blue and the sunset is red in simple words",
)
WORDS = ("please", "now", "for me", "again", "kindly", "in rhyme")
EDITS = st.lists(
    st.tuples(
        st.sampled_from(("front", "back", "drop", "upper")), st.sampled_from(WORDS), st.integers(0, 12)
    ),
    max_size=4,
)


def edited(text: str, edits: list[tuple[str, str, int]]) -> str:
    for kind, word, place in edits:
        words = text.split()
        if kind == "front":
            text = f"{word} {text}"
        elif kind == "back":
            text = f"{text} {word}"
        elif kind == "drop":
            text = " ".join(words[: place % len(words)] + words[place % len(words) + 1 :])
        else:
            text = text.upper()
    return text


TEXTS = st.lists(st.builds(edited, st.sampled_from(SEEDS), EDITS), min_size=1, max_size=6)


@pytest.mark.django_db
@settings(max_examples=30)
@given(st.lists(st.tuples(TEXTS, st.integers(0, 2**16 - 1)), min_size=1, max_size=5))
def test_near_duplicates_never_stand_on_both_sides(weeks: list[tuple[list[str], int]]) -> None:
    """Prompts come in, clusters are drawn, more come in: the law and the two statements it follows from."""
    with transaction.atomic():
        for texts, coins in weeks:
            add(*dict.fromkeys(texts))
            for index, head in enumerate(Prompt.objects.filter(cluster=None, split=UNDRAWN).order_by("pk")):
                side(head, (UNDRAWN, TRAIN, TEST, UNDRAWN)[(coins >> index % 8 * 2) & 3])
            check_statements()
        transaction.set_rollback(True)


def check_statements() -> None:
    assert leaks() == []
    placed = list(Prompt.objects.exclude(split=NEITHER))
    sides: dict[int, set[str]] = {}
    for prompt in placed:
        sides.setdefault(prompt.cluster_id or prompt.pk, set()).add(prompt.split)
    assert all(len(found) == 1 for found in sides.values())
    for a, b in combinations(placed, 2):
        if plain_jaccard(a.text, b.text) >= THRESHOLD:
            assert (a.cluster_id or a.pk) == (b.cluster_id or b.pk)


# Cost


def test_linking_asks_as_often_for_fifty_prompts_as_for_five(
    db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    texts = [f"Write {count} lines {DRAGON}, number {count * 977}" for count in range(55)]
    lock = connection.vendor == "postgresql"
    with django_assert_num_queries(6 + lock):
        insert_prompts(prompts=[Prompt(key=prompt_key(t), text=t, focus=Focus.SAFETY) for t in texts[:5]])
    with django_assert_num_queries(7 + lock):
        insert_prompts(prompts=[Prompt(key=prompt_key(t), text=t, focus=Focus.SAFETY) for t in texts[5:]])


def test_what_is_known_already_costs_one_query(
    db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    add(STORY)
    with django_assert_num_queries(1):
        insert_prompts(prompts=[Prompt(key=prompt_key(STORY), text=STORY, focus=Focus.SAFETY)])


# At once


races = pytest.mark.skipif(
    "postgresql" not in django_settings.DATABASES["default"]["ENGINE"],
    reason="SQLite has one writer at a time",
)


def at_once(*calls: Callable[[], object]) -> None:
    ready = Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        try:
            ready.wait(timeout=10)
            call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        for future in [pool.submit(run, call) for call in calls]:
            future.result(timeout=30)


@races
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("second", [STORY, TALE])
def test_two_who_add_the_same_or_nearly_at_once_see_each_other(second: str) -> None:
    for turn in range(6):
        at_once(partial(add, f"{STORY} in {turn} nights"), partial(add, f"{second} in {turn} nights"))
    assert Prompt.objects.filter(cluster=None).count() == 1
    assert Prompt.objects.count() == (6 if second == STORY else 12)
    assert PromptBand.objects.count() == BANDS * Prompt.objects.count()


@races
@pytest.mark.django_db(transaction=True)
def test_what_comes_in_while_a_week_is_sealed_stands_on_the_side_of_what_it_resembles() -> None:
    ada = make_user("ada")
    for turn in range(4):
        week = make_batch(seed=turn)
        texts = [pair.dialogue.prompt.text for pair in make_comparisons(week, 12)]
        for _ in texts:
            make_judgment(ada)
        at_once(partial(seal_batch, batch=week), partial(add, *(text.upper() for text in texts)))
        assert leaks() == []
        assert not Prompt.objects.filter(split=UNDRAWN).exists()
