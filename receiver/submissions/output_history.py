"""How many tokens the answers of a model had in batches that are stored."""

from typing import Any, NamedTuple

import redis

from receiver.errors import InboxUnavailableError, ManifestError, StorageError
from receiver.inbox.queries import InboxQueries
from receiver.outputs.manifest import Manifest, read_manifest
from receiver.outputs.outcomes import Outcome
from receiver.outputs.paths import manifest_name
from receiver.storage import Storage

MAX_ENTRIES = 200  # of the inbox, newest first
MAX_MANIFESTS = 10


class AnswerTokens(NamedTuple):
    """Tokens of an answer with its thoughts."""

    mean: float | None  # None where no batch tells
    batches: int  # that say so


NO_HISTORY = AnswerTokens(None, 0)


def find_answer_tokens(client: "redis.Redis", storage: Storage, model: str) -> AnswerTokens:
    """From the manifests of the model's last batches; no history where they can't be read."""
    bare = model.removeprefix("models/")
    try:
        entries = InboxQueries(client).latest("done", MAX_ENTRIES)
        names = [
            one.batch
            for one in entries
            if (one.summary.model or "").removeprefix("models/") == bare
            and one.summary.outcomes.get(Outcome.OK)
        ]
        data = [storage.read(manifest_name(name)) for name in names[:MAX_MANIFESTS]]
        counts = [_count(read_manifest(one)) for one in data if one is not None]
    except (InboxUnavailableError, StorageError, ManifestError):
        return NO_HISTORY
    known = [(tokens, answers) for tokens, answers in counts if tokens and answers]
    if not known:
        return NO_HISTORY
    total = sum(tokens for tokens, _ in known)
    return AnswerTokens(total / sum(answers for _, answers in known), len(known))


def _count(manifest: Manifest) -> tuple[int, int]:
    """Tokens of all answers, and how many answers there are."""
    outcomes = manifest.outcomes
    answers = outcomes.get(Outcome.OK, 0) + outcomes.get(Outcome.TRUNCATED, 0)
    return sum(_read(manifest.usage.get(name)) for name in ("candidates", "thoughts")), answers


def _read(value: Any) -> int:
    return value if isinstance(value, int) else 0
