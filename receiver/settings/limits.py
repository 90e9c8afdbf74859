"""What may be sent to a Gemini project: Gemini's limit on enqueued tokens, and a cap on the cost.

The variables without a suffix hold for every project; `__ACME` after their names gives the project
`acme` its own.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from receiver.settings.environment import Reader, setting, variables_of
from receiver.settings.parsers import split_words

T = TypeVar("T")
TIERS = ("1", "2", "3")
MAX_TOKENS_DIGITS = 15
# Tokens of all active batches of a model, by tier, as of mid 2026:
# https://ai.google.dev/gemini-api/docs/rate-limits. A family is how a model's name begins, without
# its version; the longest one counts. Image and speech models have the numbers of the one that the
# page lists.
_IMAGE = (1_000_000, 250_000_000, 750_000_000)
_SPEECH = (25_000, 100_000, 1_000_000)
_EMBEDDING = (500_000, 5_000_000, 10_000_000)
FAMILIES = {
    "gemini-flash": (3_000_000, 400_000_000, 1_000_000_000),
    "gemini-flash-image": _IMAGE,
    "gemini-flash-lite": (10_000_000, 500_000_000, 1_000_000_000),
    "gemini-flash-lite-image": _IMAGE,
    "gemini-flash-lite-tts": _SPEECH,
    "gemini-flash-preview-tts": _SPEECH,
    "gemini-flash-tts": _SPEECH,
    "gemini-pro": (5_000_000, 500_000_000, 1_000_000_000),
    "gemini-pro-image": _IMAGE,
    "gemini-pro-preview-tts": _SPEECH,
    "gemini-embedding": _EMBEDDING,
    "text-embedding": _EMBEDDING,
}
_VERSION = re.compile(r"(?<=gemini-)\d+(?:\.\d+)*-")
_AMOUNT = re.compile(r"\d{1,9}(?:\.\d{1,6})?")
_SUGGESTION = "expected model=tokens such as gemini-3.8-flash=400000000, separated by commas"


def parse_tier(text: str) -> int:
    if text not in TIERS:
        raise ValueError(f"expected one of {', '.join(TIERS)}")
    return int(text)


def parse_enqueued_tokens(text: str) -> tuple[tuple[str, int], ...]:
    """Numbers of tokens by the beginning of a model's name.

    >>> parse_enqueued_tokens("gemini-3.8-flash=400000000, gemini-embedding=5000000")
    (('gemini-3.8-flash', 400000000), ('gemini-embedding', 5000000))
    """
    limits: dict[str, int] = {}
    for word in split_words(text):
        model, _, number = word.removeprefix("models/").partition("=")
        is_number = number.isascii() and number.isdigit() and len(number) <= MAX_TOKENS_DIGITS
        if not model or not is_number or not int(number) or model in limits:
            raise ValueError(_SUGGESTION)
        limits[model] = int(number)
    return tuple(limits.items())


def parse_amount(text: str) -> Decimal | None:
    """US dollars; None for no text."""
    if not text:
        return None
    if not _AMOUNT.fullmatch(text):
        raise ValueError("expected US dollars such as 25 or 2.50")
    return Decimal(text)


@dataclass(frozen=True)
class SendingLimits:
    """The limits of one project."""

    tier: int = setting(
        "GEMINI_TIER",
        parse_tier,
        "usage tier of the Gemini project, 1 to 3: it decides how many tokens of batches may be"
        " enqueued at a time; `GEMINI_TIER__NAME` is that of one project",
        default="1",
    )
    enqueued_tokens: tuple[tuple[str, int], ...] = setting(
        "ENQUEUED_TOKENS",
        parse_enqueued_tokens,
        "tokens of batches that may be enqueued at a time, as `model=tokens,…`, where they differ"
        " from those of the tier; the model may be the beginning of a name;"
        " `ENQUEUED_TOKENS__NAME` for one project",
        shown="those of the tier",
    )
    daily_cost_cap: Decimal | None = setting(
        "DAILY_COST_CAP",
        parse_amount,
        "US dollars that the submissions to a project may cost at most per day (UTC), each project"
        " for itself; `DAILY_COST_CAP__NAME` for one project",
    )

    def enqueue_limit(self, model: str) -> int | None:
        """Tokens of a model that may be enqueued at a time; None where no limit is known."""
        name = model.removeprefix("models/")
        own = _find_longest(dict(self.enqueued_tokens), name)
        if own is not None:
            return own
        family = _find_longest(FAMILIES, _VERSION.sub("", name))
        return None if family is None else family[self.tier - 1]


# Where no variable is set.
DEFAULT_LIMITS = SendingLimits(tier=1, enqueued_tokens=(), daily_cost_cap=None)


def _find_longest(by_beginning: Mapping[str, T], name: str) -> T | None:
    fitting = [beginning for beginning in by_beginning if name.startswith(beginning)]
    return by_beginning[max(fitting, key=len)] if fitting else None


_VARIABLES = variables_of(SendingLimits)
VARIABLES = tuple(_VARIABLES.values())
_NAMES = frozenset(variable.name for variable in VARIABLES)


def read_limits(reader: Reader, projects: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
    """The fields of each project's limits by its name, wrong ones left out.

    What is wrong goes to `reader.problems`, as does a limit of a project that there is not.
    """
    shared = reader.read(SendingLimits)
    limits = {name: {**shared, **_read_own(reader, name)} for name in projects}
    for name in sorted(reader.environ):
        base, mark, suffix = name.partition("__")
        if base in _NAMES and mark and reader.text(name) and suffix.lower() not in limits:
            reader.problems.append(
                f"{name}: no project has this suffix: correct it, or set GEMINI_API_KEY__{suffix}"
                " as well"
            )
    return limits


def _read_own(reader: Reader, project: str) -> Mapping[str, Any]:
    """What is set for one project alone."""
    if not project:
        return {}
    suffix = f"__{project.upper()}"
    stated = {field for field, one in _VARIABLES.items() if reader.text(one.name + suffix)}
    if not stated:
        return {}
    values = reader.read(SendingLimits, suffix)
    return {field: value for field, value in values.items() if field in stated}
