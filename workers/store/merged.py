"""What became of the requests of a batch, in itself and in the batches that resubmitted them.

Each request counts once, by its key: an answer stays one, whatever comes later; else the last
outcome holds.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from receiver.errors import StorageError
from receiver.outputs.judgement import judge_manifest, name_unanswered
from receiver.outputs.manifest import Manifest
from receiver.outputs.outcomes import ANSWERED, Outcome
from receiver.storage import Storage
from receiver.submissions.records import read_resubmitted
from workers.results.key_set import key_token
from workers.store.batch_input import BatchInput
from workers.store.index_rows import StoredRow
from workers.store.manifest import load_manifest
from workers.store.records import read_index

MISSING = "missing"  # its batch is stored, and no line has the key


class ResentRequest(msgspec.Struct, frozen=True):
    """What became of one request that was sent again."""

    key: str
    batch: str  # "batches/<id>": the one that answered it, else the last one that it went into
    outcome: str | None  # MISSING where no line has the key, None while that batch is not stored
    object: str | None  # from the storage root

    @property
    def is_answer(self) -> bool:
        return self.outcome in ANSWERED


class FollowedBatch(msgspec.Struct):
    """One batch of the view."""

    batch: str
    stored: bool
    requests: int | None = 0  # of a later batch, those that it took over; None: not known
    answered: int = 0
    sent_again: int = 0
    judgement: str | None = None  # of a stored one, in words


@dataclass
class MergedView:
    """A batch and all that followed it, in the order in which they were sent."""

    batches: list[FollowedBatch] = field(default_factory=list)
    resent: dict[str, ResentRequest] = field(
        default_factory=dict
    )  # by key: those that were sent again
    requests: int | None = None  # None: not known
    outcomes: dict[str, int] = field(default_factory=dict)  # of the requests, each counted once
    missing: int | None = None  # requests without a result in any batch that is stored
    waiting: int = 0  # sent again in a batch that is not stored yet
    surplus: int = 0  # keys that nobody asked for, as far as the counts say
    advice: list[str] = field(default_factory=list)

    @property
    def answered(self) -> int:
        return sum(count for outcome, count in self.outcomes.items() if outcome in ANSWERED)

    @property
    def is_well(self) -> bool:
        """Whether every request is answered by now."""
        return bool(self.requests) and self.answered == self.requests and not self.surplus

    @property
    def rest(self) -> list[str]:
        """What is not answered, in words."""
        words = name_unanswered(self.outcomes, self.missing)
        words += [f"{self.waiting:,} sent again and not known yet"] if self.waiting else []
        return words + (
            [f"{self.surplus:,} more {'key' if self.surplus == 1 else 'keys'} than requests"]
            if self.surplus
            else []
        )


def view_retries(storage: Storage, batch: str) -> MergedView:
    """Follow a stored batch through all that took its requests over. Raises StorageError."""
    manifest = load_manifest(storage, batch)
    if manifest is None:
        raise StorageError(f"{batch} is not stored yet", retryable=False)
    first = FollowedBatch(manifest.batch, stored=True, judgement=judge_manifest(manifest).text)
    view, ends = MergedView([first]), list[Manifest]()
    _follow(storage, manifest, first, view, ends)
    _count(storage, manifest, view)
    open_in = {request.batch for request in view.resent.values() if not request.is_answer} | {
        first.batch
    }
    advice = [judge_manifest(end).advice for end in ends if end.batch in open_in]
    view.advice = [] if view.is_well else [one for one in advice if one]
    return view


def _follow(
    storage: Storage,
    manifest: Manifest,
    before: FollowedBatch,
    view: MergedView,
    ends: list[Manifest],
) -> None:
    """Add the batches that took requests of a stored one over; `ends` gets those without any."""
    names = read_resubmitted(storage, manifest.batch)
    if not names:
        ends.append(manifest)
    for name in names:
        if any(one.batch == name for one in view.batches):
            continue
        found = load_manifest(storage, name)
        followed = FollowedBatch(name, stored=found is not None)
        view.batches.append(followed)
        _add_fates(storage, found, view, followed)
        before.sent_again += followed.requests or 0
        if found is not None:
            followed.judgement = judge_manifest(found).text
            _follow(storage, found, followed, view, ends)


def _add_fates(
    storage: Storage, manifest: Manifest | None, view: MergedView, followed: FollowedBatch
) -> None:
    """What became of the requests of one later batch."""
    rows = {} if manifest is None else _rows_by_key(storage, manifest)
    asked = _read_input(storage, followed.batch, (manifest and manifest.result_key) or "")
    if asked is None and manifest is None:
        followed.requests = None
        return
    keys = list(rows) if asked is None else asked
    followed.requests = len(keys)
    for key in keys:
        row = rows.get(key)
        outcome = row.outcome if row else None if manifest is None else MISSING
        request = ResentRequest(key, followed.batch, outcome, row.object if row else None)
        followed.answered += request.is_answer
        view.resent[key] = _later(view.resent.get(key), request)


def _later(before: ResentRequest | None, after: ResentRequest) -> ResentRequest:
    return before if before is not None and before.is_answer else after


def _rows_by_key(storage: Storage, manifest: Manifest) -> dict[str, StoredRow]:
    return {row.key: row for row in _read_rows(storage, manifest) if row.key is not None}


def _read_rows(storage: Storage, manifest: Manifest) -> Iterable[StoredRow]:
    """The rows of the index without second lines of a key; none of a batch without results."""
    if manifest.index is None:
        return
    with tempfile.TemporaryDirectory(prefix="gbr-") as folder:
        for row in read_index(storage, manifest.batch, Path(folder)):
            if row.outcome != Outcome.DUPLICATE:
                yield row


def _read_input(storage: Storage, batch: str, result_key: str) -> Sequence[str] | None:
    """The keys of the requests of a batch, each once; None where the storage does not know them."""
    with tempfile.TemporaryDirectory(prefix="gbr-") as folder:
        known = BatchInput.fetch(storage, batch, Path(folder), lambda: None, result_key)
        return None if known is None else list(dict.fromkeys(known.keys()))


def _count(storage: Storage, manifest: Manifest, view: MergedView) -> None:
    """Count each request of the first batch once, by its last outcome."""
    asked = _read_input(storage, manifest.batch, manifest.result_key or "")
    tokens = None if asked is None else {key_token(key) for key in asked}
    own, plain, keyless = _read_first(storage, manifest, view, tokens)
    resent = {
        key: request
        for key, request in view.resent.items()
        if tokens is None or key_token(key) in tokens
    }
    last = own | {key: _later(own.get(key), request) for key, request in resent.items()}
    view.resent |= {key: last[key] for key in resent}
    counts = Counter(request.outcome for request in last.values())
    counts[Outcome.OK] += plain
    first = view.batches[0]
    first.answered = plain + sum(request.is_answer for request in own.values())
    first.requests = view.requests = _requests_of(manifest)
    view.waiting, view.missing = counts.pop(None, 0), counts.pop(MISSING, 0)
    _add_keyless(view, counts, keyless, len(last) + plain)


def _requests_of(manifest: Manifest) -> int | None:
    """How many were asked: by the input where it is known, else by Gemini."""
    return manifest.input.requests if manifest.input else manifest.requests


def _read_first(
    storage: Storage, manifest: Manifest, view: MergedView, tokens: set[str] | None
) -> tuple[dict[str, ResentRequest], int, Counter[str]]:
    """The first batch's own lines: requests by key, the number of other answers, keyless lines.

    Lines under keys that nobody asked for are left out.
    """
    own, plain, keyless = dict[str, ResentRequest](), 0, Counter[str]()
    for row in _read_rows(storage, manifest):
        key = row.key
        if key is None:
            keyless[row.outcome] += 1
        elif tokens is not None and key_token(key) not in tokens:
            continue
        elif row.outcome in ANSWERED and key not in own and key not in view.resent:
            plain += 1
        else:
            own[key] = _later(
                own.get(key), ResentRequest(key, manifest.batch, row.outcome, row.object)
            )
    return own, plain, keyless


def _add_keyless(
    view: MergedView, counts: Counter[str | None], keyless: Counter[str], keyed: int
) -> None:
    """Lines without a key answer requests whose keys no line has; the rest of those is missing."""
    if view.requests is None:
        counts.update(keyless)
        view.missing = None
    else:
        left = view.requests - keyed
        view.surplus, left = max(0, -left), max(0, left)
        for outcome, count in keyless.items():
            taken = min(count, left)
            counts[outcome] += taken
            left -= taken
        view.missing = (view.missing or 0) + left
    view.outcomes = {str(outcome): count for outcome, count in counts.items() if count}
