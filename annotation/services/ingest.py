"""How sampled responses and imported judgments come in, and the dialogues that they answer. Everything is keyed by
content: the same thing twice adds nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from uuid import UUID

from django.db import transaction

from annotation.core.allocation import place_of
from annotation.core.formats.base import Abstention, ImportedJudgment, ImportedResponse, Item, Tie
from annotation.core.grades import Choice, Focus
from annotation.core.leaks import distinctive, names_its_model
from annotation.core.records import Message, content_key, dialogue_key, prompt_key
from annotation.core.states import BatchState, ComparisonState
from annotation.errors import BatchSealedError, InvalidImportError
from annotation.models import Batch, Comparison, Dialogue, Judgment, Prompt, Response, Role, User
from annotation.services.duplicates import insert_prompts
from annotation.services.locks import share_batch

CHUNK = 500
KEPT = 1000  # bad rows that a report lists; the others it counts


@dataclass(frozen=True, slots=True, kw_only=True)
class NewResponse:
    """A sampled response with its provenance."""

    text: str
    policy: str = ""
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    tokens: int | None = None
    latency_ms: int | None = None
    finish_reason: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPair:
    """Two responses to one dialogue, waiting for people; those of lower `rank` are given first. `salt` where not 0
    makes it another pair of the same content, with another blind order (services.live)."""

    messages: tuple[Message, ...]
    focus: Focus
    first: NewResponse
    second: NewResponse
    salt: int = 0
    rank: int = 0


@dataclass(slots=True)
class ImportReport:
    """What an import did; `bad_rows` holds {"line", "reason"} of the first bad rows, `bad_n` counts all."""

    judgments: int = 0
    comparisons: int = 0
    already: int = 0  # stored by an earlier import
    repeated: int = 0  # the same annotator on the same pair again within the file; the first counts
    ties: int = 0
    abstained: int = 0  # asked and gave no vote, or nobody was asked
    margins_lost: int = 0  # judgments whose margin is no grade, and so have none
    bad_n: int = 0
    bad_rows: list[dict[str, object]] = field(default_factory=list)

    def refuse(self, line: int, reason: str) -> None:
        self.bad_n += 1
        if len(self.bad_rows) < KEPT:
            self.bad_rows.append({"line": line, "reason": reason})


@transaction.atomic
def ingest_pairs(*, batch: Batch, pairs: Iterable[NewPair]) -> int:
    """Queue sampled pairs for annotators; returns how many comparisons are new.

    Pairs whose two responses read the same are left out: there is nothing to choose.
    """
    batch = _check_open(batch)
    added = 0
    source = (p for p in pairs if p.first.text.strip() != p.second.text.strip())
    while chunk := list(islice(source, CHUNK)):
        _save_dialogues((p.messages, p.focus) for p in chunk)
        drafts = [_draft_of(pair) for pair in chunk]
        added += _save_comparisons(batch, drafts, ComparisonState.OPEN)
    return added


@transaction.atomic
def ingest_judgments(
    *, batch: Batch, items: Iterable[Item], origin: str, skip_invalid: bool = False
) -> ImportReport:
    """Take a read file into a batch: all of it, or nothing.

    `origin` names the file's form and prefixes its annotators, who become accounts that cannot sign in.

    Raises:
        InvalidImportError: there are bad rows and `skip_invalid` is off; carries the first of them.
        BatchSealedError: the batch takes nothing more.
    """
    _check_open(batch)
    report = ImportReport()
    good = _count(items, report)
    people: dict[str, User] = {}
    while chunk := list(islice(good, CHUNK)):
        if not report.bad_n or skip_invalid:
            _ingest_chunk(batch, chunk, origin, people, report)
    if report.bad_n and not skip_invalid:
        raise refusal(report)
    return report


def refusal(report: ImportReport) -> InvalidImportError:
    """What is said of a file with bad rows."""
    rows = "1 row" if report.bad_n == 1 else f"{report.bad_n:,} rows"
    return InvalidImportError(
        f"{rows} cannot be imported, so nothing was. Mend them, or leave them out with skip_invalid.",
        errors=report.bad_rows,
    )


def _count(items: Iterable[Item], report: ImportReport) -> Iterable[ImportedJudgment]:
    for item in items:
        if isinstance(item, ImportedJudgment):
            yield item
        elif isinstance(item, Tie):
            report.ties += 1
        elif isinstance(item, Abstention):
            report.abstained += 1
        else:
            report.refuse(item.line, item.reason)


def _check_open(batch: Batch) -> Batch:
    fresh = share_batch(batch.pk)
    if fresh.state == BatchState.SEALED:
        raise BatchSealedError(f"{fresh.name} is sealed and takes nothing more. Choose another batch.")
    return fresh


@dataclass(frozen=True, slots=True)
class _Draft:
    """A comparison before it has a row: the responses stand in the order of their keys, so that position
    says nothing about origin or preference, and a pair given the other way round is the same pair."""

    key: str
    dialogue: str
    focus: Focus
    a: tuple[str, NewResponse]
    b: tuple[str, NewResponse]
    swapped: bool
    rank: int = 0


def key_of(pair: NewPair) -> tuple[str, Choice]:
    """The key of the pair's comparison, and which of its responses `pair.first` is."""
    draft = _draft_of(pair)
    return draft.key, Choice.B if draft.swapped else Choice.A


def _draft_of(pair: NewPair) -> _Draft:
    draft = _draft(pair.messages, pair.focus, pair.first, pair.second, pair.salt)
    return replace(draft, rank=pair.rank)


def _draft(
    messages: Sequence[Message], focus: Focus, first: NewResponse, second: NewResponse, salt: int = 0
) -> _Draft:
    dialogue = dialogue_key(messages)
    one, two = (_response_key(dialogue, r) for r in (first, second))
    swapped = two < one
    a, b = ((two, second), (one, first)) if swapped else ((one, first), (two, second))
    salted = (salt,) if salt else ()
    return _Draft(content_key("comparison", focus, a[0], b[0], *salted), dialogue, focus, a, b, swapped)


def _response_key(dialogue: str, r: NewResponse) -> str:
    return content_key("response", dialogue, r.text, r.policy, r.temperature, r.top_p, r.seed)


def _save_dialogues(rows: Iterable[tuple[Sequence[Message], Focus]]) -> None:
    prompts: dict[str, Prompt] = {}
    dialogues: dict[str, tuple[str, Dialogue]] = {}
    for messages, focus in rows:
        users = [m["content"] for m in messages if m["role"] == "user"]
        first = prompt_key(users[0])
        prompts.setdefault(first, Prompt(key=first, text=users[0], focus=focus))
        key = dialogue_key(messages)
        dialogues.setdefault(key, (first, Dialogue(key=key, messages=list(messages), turns=len(users))))
    insert_prompts(prompts=prompts.values())
    ids = dict(Prompt.objects.filter(key__in=prompts).values_list("key", "pk"))
    for first, dialogue in dialogues.values():
        dialogue.prompt_id = ids[first]
    Dialogue.objects.bulk_create((d for _, d in dialogues.values()), ignore_conflicts=True)


def _save_comparisons(batch: Batch, drafts: Sequence[_Draft], state: ComparisonState) -> int:
    found = Dialogue.objects.filter(key__in={d.dialogue for d in drafts})
    dialogues = {
        key: (pk, language) for key, pk, language in found.values_list("key", "pk", "prompt__language")
    }
    responses: dict[str, Response] = {}
    for draft in drafts:
        for key, new in (draft.a, draft.b):
            if key not in responses:
                responses[key] = _response(key, dialogues[draft.dialogue][0], new)
    Response.objects.bulk_create(responses.values(), ignore_conflicts=True)
    ids = dict(Response.objects.filter(key__in=responses).values_list("key", "pk"))
    now = time.time_ns() // 1000
    rows = {
        d.key: Comparison(
            key=d.key,
            batch=batch,
            dialogue_id=dialogues[d.dialogue][0],
            focus=d.focus,
            response_a_id=ids[d.a[0]],
            response_b_id=ids[d.b[0]],
            state=state,
            language=dialogues[d.dialogue][1],
            place=place_of(now + number, rank=d.rank),
            free=batch.overlap if state == ComparisonState.OPEN else 0,
        )
        for number, d in enumerate(drafts)
    }
    known = Comparison.objects.filter(key__in=rows).count()
    Comparison.objects.bulk_create(rows.values(), ignore_conflicts=True)
    return len(rows) - known


def _response(key: str, dialogue_id: int, new: NewResponse) -> Response:
    leak = names_its_model(new.text, distinctive(new.policy))
    return Response(key=key, dialogue_id=dialogue_id, leak=leak, **asdict(new))


def _ingest_chunk(
    batch: Batch,
    chunk: Sequence[ImportedJudgment],
    origin: str,
    people: dict[str, User],
    report: ImportReport,
) -> None:
    _save_dialogues((row.messages, row.focus) for row in chunk)
    drafts = [
        _draft(row.messages, row.focus, _imported(row.response_a), _imported(row.response_b)) for row in chunk
    ]
    report.comparisons += _save_comparisons(batch, drafts, ComparisonState.COMPLETE)
    comparisons = {
        key: (pk, owner)
        for key, pk, owner in Comparison.objects.filter(key__in={d.key for d in drafts}).values_list(
            "key", "pk", "batch"
        )
    }
    fresh: dict[UUID, Judgment] = {}
    for row, draft in zip(chunk, drafts, strict=True):
        report.margins_lost += row.margin_lost
        judgment = _judgment(row, draft, comparisons[draft.key][0], _person(people, origin, row.annotator))
        report.repeated += judgment.uid in fresh
        fresh.setdefault(judgment.uid, judgment)
    known = set(Judgment.objects.filter(uid__in=fresh).values_list("uid", flat=True))
    # A pair that an earlier import put into another batch belongs there, and that batch may be sealed.
    elsewhere = {pk for pk, owner in comparisons.values() if owner != batch.pk}
    new = [j for uid, j in fresh.items() if uid not in known and j.comparison_id not in elsewhere]
    Judgment.objects.bulk_create(new)
    report.judgments += len(new)
    report.already += len(fresh) - len(new)


def _imported(response: ImportedResponse) -> NewResponse:
    return NewResponse(
        text=response.text,
        policy=response.policy,
        temperature=response.temperature,
        top_p=response.top_p,
        seed=response.seed,
    )


def _judgment(row: ImportedJudgment, draft: _Draft, comparison_id: int, person: User) -> Judgment:
    return Judgment(
        uid=UUID(hex=content_key("judgment", draft.key, _hidden_name(person))),
        comparison_id=comparison_id,
        annotator=person,
        focus=row.focus,
        choice=Choice(row.choice).other if draft.swapped else row.choice,
        grade=row.grade or "",
        safety=row.safety or "",
        comment=row.comment,
        source=Judgment.Source.IMPORT,
    )


def _hidden_name(person: User) -> str:
    """What names a person in the ids of their judgments, which are published: the pseudonym, which is drawn by lot and
    cannot be worked out from the file. Accounts of earlier versions had one that could, and ids made from the user
    name; they keep both, so that the same file again still adds nothing."""
    return person.username if person.pseudonym == earlier_pseudonym(person.username) else person.pseudonym


def earlier_pseudonym(username: str) -> str:
    return f"annotator-{content_key('annotator', username)[:10]}"


def _person(people: dict[str, User], origin: str, annotator: str) -> User:
    """The account that stands for an imported annotator. Its pseudonym is drawn when it is made, as anybody's is."""
    username = f"{origin}:{annotator}"[:150]
    if username not in people:
        defaults = {
            "imported": True,
            "is_active": False,
            "role": Role.ANNOTATOR,
            "password": "!",  # unusable
        }
        people[username] = User.objects.get_or_create(username=username, defaults=defaults)[0]
    return people[username]
