"""What came back from a reviewer, on the pages of its annotator. Ada and Ben annotate, Rhea reviews."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from annotation.models import Comparison, Judgment, Review, User
from annotation.reviewing import state_of
from annotation.services.batches import seal_batch
from annotation.services.reviews import approve_judgment, dismiss_dispute, return_judgment
from annotation.tests.disputes import BETTER, SLIGHTLY, A, B, make_dispute, say
from tests.factories import make_batch

AsUser = Callable[[User], Client]
BACK = "1 judgment came back to you"


@pytest.fixture
def pair(ada: User, ben: User) -> Comparison:
    return make_dispute(make_batch(overlap=2), {ada: (A, BETTER), ben: (B, SLIGHTLY)})


@pytest.fixture
def returned(pair: Comparison, ada: User, rhea: User) -> Review:
    judgment = pair.judgments.get(annotator=ada)
    return return_judgment(judgment=judgment, feedback="Mind <the> units.", by=rhea, seen=state_of(pair))


def page(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def test_home_says_that_a_judgment_came_back(returned: Review, ada: User, ben: User, as_user: AsUser) -> None:
    assert BACK in page(as_user(ada), "/")
    assert BACK not in page(as_user(ben), "/")


def test_it_stands_above_ones_own_judgments_with_its_feedback(
    returned: Review, ada: User, ben: User, as_user: AsUser
) -> None:
    text = page(as_user(ada), "/mine")
    assert "Mind &lt;the&gt; units." in text
    assert returned.judgment is not None
    assert f"/rate?reopen={returned.judgment.uid}" in text
    assert "rhea" not in text
    assert "Came back to you" not in page(as_user(ben), "/mine")
    assert "Came back to you" not in page(as_user(ada), "/mine?text=Question")


def test_the_pair_is_opened_again_and_answering_ends_it(returned: Review, ada: User, as_user: AsUser) -> None:
    client = as_user(ada)
    assert returned.judgment is not None
    assert "A reviewer wrote: Mind &lt;the&gt; units." in page(
        client, f"/rate?reopen={returned.judgment.uid}"
    )
    assert "A reviewer wrote" not in page(client, "/rate")
    answer = client.get(f"/api/v1/me/judgments/{returned.judgment.uid}").json()
    assert answer["item"]["key"] == returned.comparison.key
    say(ada, returned.comparison, A, SLIGHTLY)
    assert BACK not in page(client, "/")
    assert "Came back to you" not in page(client, "/mine")


def test_it_can_be_left_as_it_is(returned: Review, ada: User, ben: User, as_user: AsUser) -> None:
    place = f"/mine/returned/{returned.pk}/put-away"
    answer = as_user(ben).post(place, follow=True)
    assert "There is nothing like that of yours." in answer.content.decode()
    client = as_user(ada)
    assert client.get(place).status_code == 405
    answer = client.post(place, follow=True)
    assert "Your judgment stays as it is." in answer.content.decode()
    assert BACK not in page(client, "/")
    assert "A reviewer wrote: Mind &lt;the&gt; units." in page(client, "/mine").replace("</b>", "")


def test_a_sealed_week_asks_for_nothing(returned: Review, ada: User, as_user: AsUser) -> None:
    seal_batch(batch=returned.comparison.batch)
    assert BACK not in page(as_user(ada), "/")


def test_a_later_decision_ends_it(returned: Review, ada: User, rhea: User, as_user: AsUser) -> None:
    pair = returned.comparison
    dismiss_dispute(comparison=pair, by=rhea, seen=state_of(pair))
    assert BACK not in page(as_user(ada), "/")
    assert "Mind" not in page(as_user(ada), "/mine")


def test_what_a_reviewer_sets_is_no_judgment_of_their_own(
    pair: Comparison, ada: User, rhea: User, as_user: AsUser
) -> None:
    judgment = pair.judgments.get(annotator=ada)
    approve_judgment(judgment=judgment, by=rhea, seen=state_of(pair))
    label = Judgment.objects.get(source="review")
    client = as_user(rhea)
    assert "Question" not in page(client, "/mine")
    assert client.get("/api/v1/me/judgments/last").json() == {"item": None}
    assert client.get(f"/api/v1/me/judgments/{label.uid}").status_code == 404
