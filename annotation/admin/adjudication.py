"""Adjudication: the queue of pairs that people judged differently, and what reviewers decide on each.

Judgments are shown without names. Another queue is one more entry of QUEUES, with a page of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from unfold.decorators import display

from annotation import reviewing
from annotation.admin.base import Step, act, person, show_errors
from annotation.admin.columns import OfPairAdmin
from annotation.admin.data import excerpt
from annotation.admin.labels import choice_field, grade_field, in_words, safety_field
from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.states import BatchState
from annotation.errors import ConflictError, DomainError
from annotation.models import Comparison, Decision, Judgment, Review, Role, User
from annotation.reviewing import Dispute, Kind, Opinion, Place, Wanted
from annotation.services.judgments import Answer
from annotation.services.reviews import (
    approve_judgment,
    dismiss_dispute,
    retract_review,
    return_judgment,
    set_label,
    why_not,
)

QUEUES: Final = (("Between people", "queue"),)
KINDS: Final = {Kind.CHOICE: "which is better", Kind.LABEL: "which are safe"}
SAID: Final = {
    Decision.APPROVED: "approved a judgment",
    Decision.CORRECTED: "set another label",
    Decision.RETURNED: "returned a judgment",
    Decision.DISMISSED: "left it as it is",
}


class LabelForm(forms.Form):
    choice = choice_field()
    grade = grade_field()
    safety = safety_field()
    comment = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 2}),
        max_length=4000,
        required=False,
        help_text="Kept with the label.",
    )

    def __init__(self, focus: str, **options: Any) -> None:
        super().__init__(**options, label_suffix="")
        if focus != Focus.SAFETY:
            del self.fields["safety"]

    def answer(self) -> Answer:
        given = self.cleaned_data
        safety = given.get("safety")
        return Answer(
            choice=Choice(given["choice"]),
            grade=Grade(given["grade"]),
            safety=SafetyLabel(safety) if safety else None,
            comment=given["comment"],
        )


@dataclass(frozen=True, slots=True)
class View:
    """One request of a reviewer: who asks, for which part of the queue, from where in it."""

    reviewer: User
    wanted: Wanted

    @classmethod
    def of(cls, request: HttpRequest) -> View:
        given = request.GET
        batch, kind, focus = given.get("batch", ""), given.get("kind", ""), given.get("focus", "")
        return cls(
            person(request),
            Wanted(
                focus=focus if focus in list(Focus) else "",
                batch=int(batch) if batch.isdecimal() and len(batch) < 18 else None,
                kind=Kind(kind) if kind in list(Kind) else None,
            ),
        )

    def query(self, **more: object) -> str:
        """The part of the queue as it stands in an address."""
        own = {"focus": self.wanted.focus, "batch": self.wanted.batch, "kind": self.wanted.kind}
        return urlencode({name: value for name, value in {**own, **more}.items() if value})

    def following(self, pair: Comparison) -> Comparison | None:
        """What comes after a pair; at the end the queue begins again."""
        after = reviewing.disputes(self.reviewer, self.wanted, after=Place.of(pair), limit=1)
        first = after or reviewing.disputes(self.reviewer, self.wanted, limit=1)
        return next((other.pair for other in first if other.pair.pk != pair.pk), None)


@admin.register(Review)
class ReviewAdmin(OfPairAdmin):
    view_role = Role.REVIEWER
    list_display = ("what", "asked", "focus", "batch", "who", "given")
    list_filter = ("decision", "comparison__focus", "comparison__batch")
    search_fields = ("comparison__key", "comparison__dialogue__prompt__text")
    list_select_related = ("by", "comparison__batch", "comparison__dialogue__prompt")
    list_before_template = "admin/annotation/review/above.html"  # type: ignore[assignment]

    def pages(self) -> list[URLPattern]:
        return [
            self.page("queue/", self.queue_page, "queue"),
            self.page("pair/<int:pk>/", self.pair_page, "pair"),
            self.page("<path:object_id>/undo/", self.undo_page, "undo"),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A decision is read beside its pair."""
        review: Review = self.row(request, object_id)
        return HttpResponseRedirect(self.address("pair", review.comparison_id))

    def queue_page(self, request: HttpRequest) -> HttpResponse:
        self._check_may(request)
        view = View.of(request)
        after = Place.read(request.GET.get("after", ""))
        found = reviewing.disputes(view.reviewer, view.wanted, after=after, limit=reviewing.PAGE + 1)
        more = found[reviewing.PAGE - 1 : reviewing.PAGE] if len(found) > reviewing.PAGE else []
        return self.render(
            request,
            "admin/annotation/review/queue.html",
            title="Disagreements",
            queues=[(label, self.address(name), name == "queue") for label, name in QUEUES],
            rows=[
                (self.place(one.pair.pk, view), excerpt(one.pair.dialogue.prompt.text), one, difference(one))
                for one in found[: reviewing.PAGE]
            ],
            older=view.query(after=Place.of(more[0].pair).cursor) if more else "",
            is_first=after is None,
            wanted=view.wanted,
            weeks=reviewing.open_weeks(),
            focuses=list(Focus),
            kinds=KINDS,
            done=self._done(request),
        )

    def pair_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """One pair: what was said of it, and on POST what its reviewer decides."""
        self._check_may(request)
        pair = reviewing.pair_for(pk)
        if pair is None:
            raise Http404("There is no such comparison.")
        view = View.of(request)
        form = LabelForm(pair.focus, data=request.POST if _is_correction(request) else None)
        problem: DomainError | None = None
        if request.method == "POST":
            following = view.following(pair)
            try:
                if (review := self._decide(request, pair, form)) is not None:
                    return HttpResponseRedirect(self._onward(view, following, review))
            except DomainError as error:
                problem = error
                if form.is_bound:
                    show_errors(form, error)
        context = self._pair_context(view, pair, form, problem)
        return self.render(request, "admin/annotation/review/pair.html", **context, done=self._done(request))

    def _decide(self, request: HttpRequest, pair: Comparison, form: LabelForm) -> Review | None:
        """None: the form lacks something."""
        given, by = request.POST, person(request)
        seen = given.get("seen", "")
        match given.get("decision", ""):
            case Decision.APPROVED:
                return approve_judgment(judgment=_judgment(pair, given), by=by, seen=seen)
            case Decision.RETURNED:
                feedback = given.get("feedback", "").replace("\0", "")
                return return_judgment(
                    judgment=_judgment(pair, given), feedback=feedback[:4000], by=by, seen=seen
                )
            case Decision.DISMISSED:
                return dismiss_dispute(comparison=pair, by=by, seen=seen)
            case Decision.CORRECTED:
                return (
                    set_label(comparison=pair, answer=form.answer(), by=by, seen=seen)
                    if form.is_valid()
                    else None
                )
        raise Http404("There is no such decision.")

    def _onward(self, view: View, following: Comparison | None, review: Review) -> str:
        """Straight to the next pair; what was decided can be taken back there."""
        place = self.address("queue") if following is None else self.address("pair", following.pk)
        return f"{place}?{view.query(done=review.pk)}"

    def _pair_context(
        self, view: View, pair: Comparison, form: LabelForm, problem: DomainError | None
    ) -> dict[str, Any]:
        before = reviewing.dispute_before(view.reviewer, view.wanted, Place.of(pair))
        following = view.following(pair)
        opinions = reviewing.opinions_on(pair)
        numbers = {opinion.judgment.pk: opinion.number for opinion in opinions}
        adjudication = reviewing.adjudication_of(pair)
        return {
            "title": "Disagreement",
            "pair": pair,
            "opinions": [(opinion, label_words(opinion.judgment)) for opinion in opinions],
            "adjudicated": label_words(adjudication) if adjudication else "",
            "adjudication": adjudication,
            "story": [
                (review, SAID[Decision(review.decision)], numbers.get(review.judgment_id or 0, ""))
                for review in reviewing.decisions_on(pair)
            ],
            "difference": sentence_on(opinions),
            "form": form,
            "problem": problem.message if problem else "",
            "closed": closed(pair, view.reviewer),
            "seen": reviewing.state_of(pair),
            "before": self.place(before.pk, view) if before else "",
            "following": self.place(following.pk, view) if following else "",
            "queue": f"{self.address('queue')}?{view.query()}",
        }

    def undo_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        review: Review = self.row(request, object_id)
        return act(
            request,
            lambda: retract_review(review=review, by=person(request)),
            said="Taken back: the pair waits again.",
            back=self.address("pair", review.comparison_id),
        )

    def place(self, pk: int, view: View) -> str:
        query = view.query()
        return self.address("pair", pk) + (f"?{query}" if query else "")

    def _done(self, request: HttpRequest) -> dict[str, Any] | None:
        """What this reviewer has just decided, to be taken back."""
        given = request.GET.get("done", "")
        review = reviewing.review_with(int(given)) if given.isdecimal() and len(given) < 18 else None
        if review is None or review.by_id != person(request).pk:
            return None
        place = self.address("undo", review.pk)
        return {
            "words": SAID[Decision(review.decision)],
            "undo": Step("Undo", place, post=True),
            "pair": self.address("pair", review.comparison_id),
        }

    def _check_may(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise Http404

    @display(description="Decision", ordering="decision")
    def what(self, row: Review) -> str:
        return SAID[Decision(row.decision)]

    @display(description="By", ordering="by__username")
    def who(self, row: Review) -> str:
        return row.by.username


def _is_correction(request: HttpRequest) -> bool:
    return request.method == "POST" and request.POST.get("decision") == Decision.CORRECTED


def _judgment(pair: Comparison, given: Any) -> Judgment:
    pk = given.get("judgment", "")
    found = reviewing.judgment_on(pair, int(pk)) if pk.isdecimal() and len(pk) < 18 else None
    if found is None:
        raise ConflictError("There is no such judgment on this pair. Nothing was changed.")
    return found


def closed(pair: Comparison, reviewer: User) -> str:
    """Why there is nothing to decide, if so."""
    if pair.batch.state != BatchState.OPEN:
        return f"{pair.batch} is {pair.batch.state}: its judgments do not change."
    why = why_not(pair, reviewer)
    return why.message if why else ""


def label_words(judgment: Judgment) -> str:
    return in_words(judgment.choice, judgment.grade, judgment.safety)


def difference(one: Dispute) -> str:
    if len(set(one.choices)) < 2:
        return "which are safe"
    return f"which is better, {one.pair.dispute} step{'s' if one.pair.dispute != 1 else ''} apart"


def sentence_on(opinions: list[Opinion]) -> str:
    """How many say what."""
    chosen = {choice: sum(one.judgment.choice == choice for one in opinions) for choice in Choice}
    if not opinions:
        return "Nobody has judged it yet."
    if all(chosen.values()):
        return f"{chosen[Choice.A]} chose A and {chosen[Choice.B]} chose B."
    if len({one.judgment.safety for one in opinions}) > 1:
        return "They chose alike and differ on which responses are safe."
    return "They agree."
