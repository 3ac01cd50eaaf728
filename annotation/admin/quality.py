"""How far the people of a batch agree, and how each of them works: three pages of the batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, reverse

from annotation.admin.base import RoleAdmin, Step
from annotation.core.agreement.report import as_json
from annotation.core.anomalies import FEWEST
from annotation.core.grades import Grade
from annotation.core.shares import Ints
from annotation.models import Batch
from annotation.quality import CONFIDENCE, Agreement, ScaleFigures, agreement_of, people_in, said_in
from annotation.quality_couples import FEWEST_SHARED
from annotation.quality_figures import Said, Scale, Trait
from annotation.quality_people import FEWEST_MET, Portrait, portrait_of, standing_out, workers_of
from annotation.services.checks import WATCH, standing
from annotation.templatetags.panel import words

SHOWN: Final = 100  # people a page
NAMED: Final = 5  # people whom the sentence above them names

SCALES: Final[Mapping[Scale, tuple[str, str]]] = {
    Scale.CHOICE: (
        "The choice",
        "Nominal, two categories: A or B. Which response is A follows from the keys of the two, which is as good as "
        "by lot: neither letter is favoured, so what is taken off for chance is fair.",
    ),
    Scale.GRADE: (
        "The grade",
        "Eight equal steps from 1, A significantly better, to 8, B significantly better. “Weights” are Gwet's and "
        "say how much a near answer counts; a “metric” is Krippendorff's. Ordinal weights are not the ordinal metric.",
    ),
    Scale.SAFETY: (
        "Safety",
        "Nominal, four categories: A alone is safe, B alone, both, neither. Two people who chose differently and say "
        "that the chosen one is safe do not agree.",
    ),
}
TO_READ: Final[Mapping[tuple[str, str | None], str]] = {
    ("percent", "identity"): "How often two people said the same. Chance is in it.",
    ("percent", "ordinal"): "How often two people said the same, where a near answer counts in part.",
    ("percent", "quadratic"): "How often two people said the same, where a near answer counts nearly full.",
    ("gwet", "identity"): "Above chance, and steady where nearly all answers are alike.",
    ("gwet", "ordinal"): "Above chance. The further apart, in places of the order, the less it counts.",
    ("gwet", "quadratic"): "The one to quote for grades. Near answers count nearly full, far ones little.",
    ("fleiss", "identity"): "Above chance, if everybody used the answers as all together do.",
    ("fleiss", "ordinal"): "Fleiss' kappa with Gwet's ordinal weights.",
    ("fleiss", "quadratic"): "Fleiss' kappa where near answers count nearly full and far ones little.",
    ("cohen", "identity"): "Above chance, by both people's own habits.",
    ("cohen", "ordinal"): "Cohen's kappa with Gwet's ordinal weights.",
    ("cohen", "quadratic"): "Cohen's kappa where near answers count nearly full and far ones little.",
    ("conger", "identity"): "Cohen's kappa for more than two people: chance by everybody's own habits.",
    ("conger", "ordinal"): "Conger's kappa with Gwet's ordinal weights.",
    ("conger", "quadratic"): "Conger's kappa where near answers count nearly full and far ones little.",
    ("krippendorff", "nominal"): "Above chance, corrected for few pairs. The same answer or nothing.",
    ("krippendorff", "ordinal"): "Answers are as far apart as the ones between them were used.",
    (
        "krippendorff",
        "interval",
    ): "Squared distance in steps: near answers count nearly full, far ones little.",
}
TRAITS: Final[Mapping[Trait, tuple[str, str]]] = {
    Trait.FOCUS: ("Focus", "any focus"),
    Trait.GRADE: ("Middle grade", "any grade"),
    Trait.TOPIC: ("Topic", "any topic"),
    Trait.RISK: ("Risk category", "any risk"),
    Trait.LANGUAGE: ("Language", "any language"),
}


class QualityPages(RoleAdmin):
    """For the admin of batches: `quality_pages` go among its pages, `quality_steps` among the steps of a batch."""

    def quality_pages(self) -> list[URLPattern]:
        return [
            self.page("<path:object_id>/agreement/", self.agreement_page, "agreement"),
            self.page("<path:object_id>/people/<int:user_id>/", self.person_page, "person"),
            self.page("<path:object_id>/people/", self.people_page, "people"),
        ]

    def quality_steps(self, batch: Batch) -> list[Step]:
        return [
            Step("Agreement", self.address("agreement", batch.pk)),
            Step("People", self.address("people", batch.pk)),
        ]

    def agreement_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        batch: Batch = self.row(request, object_id)
        said = said_in(batch)
        wanted = wanted_of(request, said)
        found = agreement_of(said, wanted)
        return self._shown(
            request,
            batch,
            "agreement",
            title=f"Agreement in {batch}",
            found=found,
            wanted=wanted,
            filters=_filters(found, wanted),
            scales=[_table_of(scale) for scale in found.scales],
            groups=[(TRAITS[trait][0], trait, rows) for trait, rows in found.groups.items()],
            beside=_heat(found.beside),
            heads=[word.split("_")[0] for word in (*Grade, *reversed(Grade))],
            people=people_in(batch),
            fewest=FEWEST_SHARED,
            steps=[
                Step("See how people work", self.address("people", batch.pk), filled=True),
                Step("Back to the batch", self.address("change", batch.pk)),
            ],
        )

    def people_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        batch: Batch = self.row(request, object_id)
        workers = workers_of(batch)
        odd = standing_out(workers)
        return self._shown(
            request,
            batch,
            "people",
            title=f"People in {batch}",
            page=Paginator(workers, SHOWN).get_page(request.GET.get("page")),
            known=sum(worker.is_known for worker in workers),
            timeless=sum(not worker.has_times for worker in workers),
            odd=odd,
            named=odd[:NAMED],
            rest=len(odd[NAMED:]),
            fewest=FEWEST,
            steps=[
                Step("See how far they agree", self.address("agreement", batch.pk), filled=True),
                Step("Back to the batch", self.address("change", batch.pk)),
            ],
        )

    def person_page(self, request: HttpRequest, object_id: str, user_id: int) -> HttpResponse:
        batch: Batch = self.row(request, object_id)
        portrait = portrait_of(batch, user_id)
        if portrait is None:
            raise Http404("They judged nothing in this batch.")
        user = portrait.worker.user
        account = reverse("admin:annotation_user_change", args=(user.pk,))
        return self._shown(
            request,
            batch,
            "person",
            title=f"{user.pseudonym} in {batch}",
            portrait=portrait,
            worker=portrait.worker,
            shares=_shares(portrait),
            labels=[row for row in portrait.worker.conduct.labels.shares.items() if row[1].trials],
            standing=standing(user),
            window=WATCH.window,
            fewest=FEWEST_MET,
            steps=[
                Step("Open their account", account, filled=True),
                Step("All people", self.address("people", batch.pk)),
                Step("Back to the batch", self.address("change", batch.pk)),
            ],
        )

    def _shown(self, request: HttpRequest, batch: Batch, name: str, **context: Any) -> HttpResponse:
        template = f"admin/annotation/quality/{name}.html"
        return self.render(request, template, original=batch, batch=batch, **context)


def wanted_of(request: HttpRequest, said: Said) -> dict[Trait, str]:
    """What the address asks for; a word that the batch does not know asks for nothing."""
    asked = {trait: request.GET.get(trait, "") for trait in Trait}
    return {trait: word for trait, word in asked.items() if word in said.words[trait]}


@dataclass(frozen=True, slots=True)
class Filter:
    name: Trait
    label: str
    every: str
    words: list[str]
    wanted: str


def _filters(found: Agreement, wanted: Mapping[Trait, str]) -> list[Filter]:
    """Those that leave a choice."""
    return [
        Filter(trait, *TRAITS[trait], list(found.words[trait]), wanted.get(trait, ""))
        for trait in Trait
        if len(found.words[trait]) > 1 or trait in wanted
    ]


@dataclass(frozen=True, slots=True)
class ScaleTable:
    title: str
    note: str
    pairs: int
    judgments: int
    rows: list[dict[str, Any]]


def _table_of(figures: ScaleFigures) -> ScaleTable:
    """Coefficients by the names that they have everywhere, each with what it is good for."""
    told = as_json(figures.read, figures.coefficients, CONFIDENCE)
    rows = told["coefficients"]
    for row in rows:
        row["to_read"] = TO_READ[row["coefficient"], row["weights"] or row["metric"]]
    title, note = SCALES[figures.scale]
    return ScaleTable(title, note, told["n_items_with_two"], told["n_ratings"], rows)


@dataclass(frozen=True, slots=True)
class Heat:
    """What others said beside one person's grade; `shares` are of `trials`, 0 to 1."""

    grade: str
    trials: int
    same: float
    shares: list[float]


def _heat(counts: Ints) -> list[Heat]:
    rows = []
    for grade, row in zip(Grade, counts.tolist(), strict=True):
        if trials := sum(row):
            same = sum(row[: len(Grade)]) / trials
            rows.append(Heat(words(grade), trials, same, [count / trials for count in row]))
    return rows


def _shares(portrait: Portrait) -> list[tuple[str, Any, str]]:
    """Name, share and what a hit is; the others' share stands beside it."""
    conduct = portrait.worker.conduct
    rows = [
        (
            "Agreement on the choice",
            conduct.agreement,
            "of pairs of judgments, theirs and another's: the same choice",
        ),
        (
            "Agreement on the grade",
            conduct.ordinal,
            "the same on the scale of eight, with quadratic weights: near answers count in part",
        ),
        ("With the majority", conduct.majority, "of pairs on which the others have one"),
        ("Left response chosen", conduct.left, "the side is a fair coin, so a half is expected"),
        ("Longer response chosen", conduct.longer, "beside the others, who saw the same lengths"),
    ]
    if portrait.worker.has_times:
        floor = f"under {conduct.pace.floor:.0f} seconds, which is too little to read in"
        rows += [
            ("Hasty", conduct.pace.hasty, floor),
            ("Agreement at first", conduct.drift.early, "the first two thirds of their work"),
            ("Agreement of late", conduct.drift.late, "the last third"),
        ]
    return [row for row in rows if row[1].trials]
