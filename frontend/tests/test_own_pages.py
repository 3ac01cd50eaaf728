"""A person's own work on their pages: home, what they said, the guidelines. Ada and Ben annotate."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.ordering import left_choice
from annotation.core.passes import PassReason
from annotation.models import Batch, Comparison, Judgment, Pass, Role, User
from annotation.services.allocation import lease_next
from annotation.services.batches import Offer, change_offer, seal_batch
from annotation.services.guidelines import add_guideline
from annotation.services.judgments import Answer, submit_judgment
from annotation.services.passes import handle_flag, pass_on
from tests.factories import make_batch, make_comparisons, make_judgment, make_user

Pairs = Callable[..., list[Comparison]]
AsUser = Callable[[User], Client]


def text_of(client: Client, path: str) -> str:
    """The page's text, tags gone and white space folded."""
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.content.decode())).split())


@pytest.fixture
def careful(db: None) -> User:
    """Somebody who was never asked about safety pairs."""
    return make_user("carol", safety=False)


def flag(annotator: User, reason: PassReason = PassReason.BROKEN) -> Pass:
    (pair,) = lease_next(annotator=annotator)
    return pass_on(annotator=annotator, comparison_key=pair.key, uid=uuid4(), reason=reason)


def test_home_shows_how_much_of_the_days_target_is_done(
    ada: User, week: Batch, pairs: Pairs, as_user: AsUser
) -> None:
    change_offer(batch=week, offer=Offer(daily_target=2))
    pairs(3)
    make_judgment(ada)
    page = as_user(ada).get("/").content.decode()
    assert '<progress id="target" max="2" value="1">' in page
    assert "1 of 2 today" in page
    make_judgment(ada)
    assert "That is the day's target." in text_of(as_user(ada), "/")


def test_home_without_a_target_has_no_bar(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(1)
    assert b"<progress" not in as_user(ada).get("/").content


def test_home_tells_the_pace_of_today_and_of_the_last_days(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(10)
    for n in range(10):
        row = make_judgment(ada)
        earlier = timezone.now() - timedelta(days=2 if n < 5 else 0)
        Judgment.objects.filter(pk=row.pk).update(active_ms=20_000 if n < 5 else 40_000, created_at=earlier)
    text = text_of(as_user(ada), "/")
    assert "Judgments 5 10" in text
    assert "Judgments an hour, while active 90 120" in text
    assert "Seconds a pair, median 40 30" in text


def test_the_chart_can_be_read_without_being_seen(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(1)
    make_judgment(ada)
    page = as_user(ada).get("/").content.decode()
    assert page.count("</title></rect>") == 14
    (table,) = re.findall(r'<table class="visually-hidden">.*?</table>', page, re.DOTALL)
    assert table.count('<th scope="row">') == 14
    assert table.count("<td>1</td>") == 1


def test_home_before_the_first_judgment_says_what_will_stand_there(
    ada: User, pairs: Pairs, as_user: AsUser
) -> None:
    pairs(1)
    assert "After your first judgments, your pace and your days stand here." in text_of(as_user(ada), "/")


@pytest.mark.parametrize(("count", "words"), [(19, "needs 20 pairs"), (20, "on 100 % of 20 pairs")])
def test_agreement_is_told_from_twenty_pairs_on(
    ada: User, ben: User, as_user: AsUser, count: int, words: str
) -> None:
    make_comparisons(make_batch(overlap=2), count)
    for annotator in (ada, ben):
        for _ in range(count):
            make_judgment(annotator)
    assert words in text_of(as_user(ada), "/")


def test_home_counts_the_flags_that_wait(ada: User, rosa: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(2)
    first = flag(ada)
    flag(ada)
    assert "2 flags of yours wait for a reviewer." in text_of(as_user(ada), "/")
    handle_flag(flag=first, by=rosa, restore=False)
    assert "1 flag of yours waits for a reviewer." in text_of(as_user(ada), "/")


def test_reviewers_are_led_to_what_waits_and_ada_is_not(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(1)
    flag(ada)
    rhea = make_user("rhea", role=Role.REVIEWER)
    assert "For reviewers 1 flag waits" in text_of(as_user(rhea), "/")
    assert "For reviewers" not in text_of(as_user(ada), "/")


def test_who_was_not_asked_is_told_what_safety_pairs_are(
    careful: User, pairs: Pairs, as_user: AsUser
) -> None:
    pairs(1)
    pairs(2, focus=Focus.SAFETY)
    text = text_of(as_user(careful), "/")
    assert "1 pair waits for you." in text
    assert "2 safety pairs wait for people who agree to read such pairs." in text
    assert "Show me safety pairs too" in text


def test_nobody_is_asked_where_no_safety_pair_waits(careful: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(1)
    assert "Show me safety pairs too" not in text_of(as_user(careful), "/")


def test_a_person_agrees_and_stops_again(careful: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(1, focus=Focus.SAFETY)
    client = as_user(careful)
    assert "You get safety pairs too from now on." in text_of_post(client, "yes")
    assert len(lease_next(annotator=User.objects.get(pk=careful.pk))) == 1
    assert "You get no more safety pairs." in text_of_post(client, "no")
    assert lease_next(annotator=User.objects.get(pk=careful.pk)) == []


def text_of_post(client: Client, consent: str) -> str:
    return client.post("/safety", {"consent": consent}, follow=True).content.decode()


def test_consent_is_not_given_by_following_a_link(careful: User, as_user: AsUser) -> None:
    assert as_user(careful).get("/safety?consent=yes").status_code == 405


def test_home_costs_thirteen_queries_however_much_was_done(
    ada: User, ben: User, as_user: AsUser, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_comparisons(make_batch(overlap=2), 6)
    for annotator in (ada, ben):
        for _ in range(5):
            make_judgment(annotator)
    client = as_user(ada)
    # Session, user, week; today, in the week, in hand, waiting by focus; days, own pairs, the others on them, flags,
    # what came back.
    with django_assert_num_queries(13):
        client.get("/")


def test_what_was_said_is_told_by_the_sides_that_were_seen(
    ada: User, week: Batch, pairs: Pairs, as_user: AsUser
) -> None:
    (pair,) = pairs(1, focus=Focus.SAFETY)
    lease_next(annotator=ada)
    left = left_choice(seed=week.seed, comparison=pair.key, annotator=ada.pseudonym)
    answer = Answer(
        choice=left.other,
        grade=Grade.SLIGHTLY_BETTER,
        safety=SafetyLabel.CHOSEN_SAFE,
        comment="Close.",
        active_ms=61_400,
    )
    row = submit_judgment(annotator=ada, comparison_key=pair.key, uid=uuid4(), answer=answer)
    text = text_of(as_user(ada), "/mine")
    assert "Response 2 is slightly better; only Response 2 is safe." in text
    assert "Question 1.0 about safety?" in text
    assert "Close." in text
    assert "1:01 spent" in text
    assert f'href="/rate?reopen={row.uid}"' in as_user(ada).get("/mine").content.decode()


def test_nothing_of_a_sealed_week_is_reopened(ada: User, week: Batch, pairs: Pairs, as_user: AsUser) -> None:
    pairs(2)
    make_judgment(ada)
    flag(ada)
    seal_batch(batch=week)
    page = as_user(ada).get("/mine").content.decode()
    assert "Response" in page
    assert "reopen=" not in page
    assert "Take back" not in page


def test_a_skip_is_taken_back_from_the_list(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    (pair,) = pairs(1)
    row = flag(ada, PassReason.NOT_MY_FIELD)
    client = as_user(ada)
    assert "Skipped: Not my field" in text_of(client, "/mine")
    answer = client.post(f"/mine/passes/{row.uid}/take-back", follow=True)
    assert "Taken back: the pair waits for you again." in answer.content.decode()
    assert lease_next(annotator=ada) == [pair]


def test_what_cannot_be_taken_back_says_why(ada: User, ben: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(1)
    row = flag(ada, PassReason.NOT_MY_FIELD)
    lease_next(annotator=ben)
    page = as_user(ada).post(f"/mine/passes/{row.uid}/take-back", follow=True).content.decode()
    assert "This pair went to somebody else meanwhile." in page


def test_ben_takes_back_nothing_of_adas(ada: User, ben: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(1)
    row = flag(ada)
    as_user(ben).post(f"/mine/passes/{row.uid}/take-back")
    row.refresh_from_db()
    assert not row.retracted


def test_the_list_is_searched_by_a_plain_form(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(2)
    pairs(1, focus=Focus.SAFETY)
    for _ in range(3):
        make_judgment(ada)
    client = as_user(ada)
    assert text_of(client, "/mine?focus=safety").count("Reopen") == 1
    assert text_of(client, "/mine?text=1.1&focus=").count("Reopen") == 1
    assert "Nothing of yours fits that." in text_of(client, "/mine?text=zebra")
    assert text_of(client, "/mine?focus=nonsense").count("Reopen") == 3


def test_a_character_that_no_text_holds_is_not_searched_for(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(1)
    make_judgment(ada)
    assert text_of(as_user(ada), "/mine?text=Quest%00ion").count("Reopen") == 1


def test_older_pages_keep_what_was_searched_for(
    ada: User, pairs: Pairs, as_user: AsUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotation.history.PAGE", 2)
    pairs(3)
    for _ in range(3):
        make_judgment(ada)
    client = as_user(ada)
    (older,) = re.findall(r'rel="next" href="([^"]+)"', client.get("/mine?text=question").content.decode())
    assert "text=question" in unescape(older)
    assert text_of(client, "/mine" + unescape(older)).count("Reopen") == 1


def test_an_empty_list_says_what_will_fill_it(ada: User, as_user: AsUser) -> None:
    assert "Each pair that you judge, skip or flag will stand here" in text_of(as_user(ada), "/mine")


def test_texts_of_others_are_shown_as_text(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(1)
    (pair,) = lease_next(annotator=ada)
    pair.dialogue.prompt.text = "<img src=x onerror=alert(1)>"
    pair.dialogue.prompt.save()
    answer = Answer(choice=Choice.A, grade=Grade.BETTER, comment="<script>alert(2)</script>")
    submit_judgment(annotator=ada, comparison_key=pair.key, uid=uuid4(), answer=answer)
    page = as_user(ada).get("/mine").content
    assert b"<img src=x" not in page
    assert b"<script>alert" not in page


def test_guidelines_show_earlier_versions_with_what_changed(ada: User, as_user: AsUser) -> None:
    for text in ("# Rules\n\nBe kind.", "# Rules\n\nBe honest."):
        add_guideline(focus=Focus.HELPFULNESS, text=text)
    page = as_user(ada).get("/guidelines").content.decode()
    assert "<ins>honest.</ins>" in page
    assert "<del>kind.</del>" in page
    assert "Version 2, in force since" in text_of(as_user(ada), "/guidelines")
    assert "Version 1, " in text_of(as_user(ada), "/guidelines")


def test_the_first_version_has_no_earlier_ones(ada: User, as_user: AsUser) -> None:
    add_guideline(focus=Focus.SAFETY, text="# Rules")
    assert "Earlier versions" not in text_of(as_user(ada), "/guidelines")


@pytest.mark.parametrize("path", ["/mine", "/guidelines"])
def test_a_stranger_is_asked_to_sign_in(db: None, client: Client, path: str) -> None:
    assert client.get(path)["Location"] == f"/sign-in?next={path}"


@pytest.mark.parametrize("path", ["/", "/mine", "/guidelines"])
def test_no_own_page_holds_inline_script_or_style(
    ada: User, pairs: Pairs, as_user: AsUser, path: str
) -> None:
    for text in ("# Rules\n\nBe kind.", "# Rules\n\nBe honest."):
        add_guideline(focus=Focus.HELPFULNESS, text=text)
    pairs(2)
    make_judgment(ada)
    flag(ada)
    page = as_user(ada).get(path).content.decode()
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=", page)
