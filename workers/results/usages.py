"""The tokens of one line as Gemini counted them, and whether they can be priced.

Gemini's JSON leaves out a count of 0, so that it looks like an unknown one. A prompt has tokens,
and so has an answer with content: where these two counts are absent, they are unknown. All others
may be 0.
"""

from collections import Counter
from enum import StrEnum
from typing import Annotated, Any, Literal, cast, get_args

import msgspec

_INT32_MAX = 2**31 - 1
# The API's counts are int32: what is larger is noise.
_Count = Annotated[int, msgspec.Meta(ge=0, le=_INT32_MAX)]
_PositiveCount = Annotated[int, msgspec.Meta(ge=1, le=_INT32_MAX)]
_UNSPECIFIED = "MODALITY_UNSPECIFIED"
_UsualTier = Literal["SERVICE_TIER_STANDARD", "standard"]
_TIER_PREFIX = "SERVICE_TIER_"
# As lines of batches say it. Flex has the same price.
_BATCH_TIERS = frozenset({"", "UNSPECIFIED", "STANDARD", "BATCH", "FLEX"})
_COUNTS = {
    "prompt": "promptTokenCount",
    "cached": "cachedContentTokenCount",
    "candidates": "candidatesTokenCount",
    "thoughts": "thoughtsTokenCount",
    "tool_use_prompt": "toolUsePromptTokenCount",
    "total": "totalTokenCount",
}
_DETAILS = {
    "prompt_details": "promptTokensDetails",
    "cached_details": "cacheTokensDetails",
    "candidates_details": "candidatesTokensDetails",
    "tool_use_prompt_details": "toolUsePromptTokensDetails",
}


class Doubt(StrEnum):
    """Why nobody knows what a line cost; the text follows "2 lines"."""

    UNCOUNTED = "came without a full count of tokens"
    CONTRADICTED = "came with counts that contradict each other"
    TIER = "came from another service tier than that of batches"
    UNREAD = "could not be read"
    REPEATED = "repeated the key of another line"


class ModalityCount(msgspec.Struct, gc=False, rename="camel", forbid_unknown_fields=True):
    modality: str = _UNSPECIFIED
    token_count: _Count = 0


class Usage(
    msgspec.Struct,
    gc=False,
    rename=_COUNTS | _DETAILS | {"service_tier": "serviceTier"},
    forbid_unknown_fields=True,
):
    """Tokens as `usageMetadata` reports them; None is unknown."""

    prompt: _PositiveCount | None = None  # with the cached ones
    cached: _Count = 0
    candidates: _PositiveCount | None = None  # 0 where there is nothing that could have any
    thoughts: _Count = 0
    tool_use_prompt: _Count = 0
    total: _Count | None = None
    prompt_details: list[ModalityCount] | None = None
    cached_details: list[ModalityCount] | None = None
    candidates_details: list[ModalityCount] | None = None
    tool_use_prompt_details: list[ModalityCount] | None = None
    service_tier: _UsualTier | None = None  # `read_usage` judges any other
    doubt: Doubt | None = None  # what `read_usage` found wrong


class LenientUsage(Usage, forbid_unknown_fields=False):
    """The same with names that are not known, which may be those of Usage in snake_case."""


def strict_usage(usage: LenientUsage | None) -> Usage | None:
    """What a usage says by known names."""
    return None if usage is None else Usage(*msgspec.structs.astuple(usage))


def read_usage(response: dict[str, Any], *, holds_answer: bool) -> Usage | None:
    """The usage of a decoded response, whose numbers are text.

    `holds_answer` says that there is content, which has tokens.
    """
    raw = response.get("usageMetadata")
    if not isinstance(raw, dict):
        return token_usage(response.get("tokenCount"))

    usage = Usage()
    for name, api_name in _COUNTS.items():
        count = _count(raw.get(api_name))
        if count is not None:
            setattr(usage, name, count)
        elif raw.get(api_name) is not None:
            usage.doubt = Doubt.UNCOUNTED
    for name, api_name in _DETAILS.items():
        setattr(usage, name, _modality_counts(raw.get(api_name)))

    usage.prompt = usage.prompt or None
    if holds_answer:
        usage.candidates = usage.candidates or None
    elif usage.candidates is None and (usage.total is not None or not response.get("candidates")):
        usage.candidates = 0  # there are no candidates, or the total says that they have no tokens
    _judge_tier(usage, raw.get("serviceTier"))
    return usage


def _judge_tier(usage: Usage, tier: object) -> None:
    """Batches have a price of their own, which does not hold for lines of another tier."""
    if tier in get_args(_UsualTier):
        usage.service_tier = cast("_UsualTier", tier)
    elif tier is not None and str(tier).upper().removeprefix(_TIER_PREFIX) not in _BATCH_TIERS:
        usage.doubt = usage.doubt or Doubt.TIER


def token_usage(token_count: object) -> Usage | None:
    """The usage of an embedding, of which all tokens are prompt; `tokenCount` comes as text."""
    tokens = _count(token_count)
    return Usage(prompt=tokens, candidates=0, total=tokens) if tokens else None


def _modality_counts(raw: object) -> list[ModalityCount] | None:
    if not isinstance(raw, list):
        return None
    entries = [entry for entry in raw if isinstance(entry, dict)]
    return [
        ModalityCount(_modality(entry.get("modality")), _count(entry.get("tokenCount")) or 0)
        for entry in entries
    ]


def _modality(raw: object) -> str:
    return raw if isinstance(raw, str) else _UNSPECIFIED


def _count(raw: object) -> int | None:
    """A number of tokens; None when it can't be one."""
    if (
        isinstance(raw, str)
        and raw.isascii()
        and raw.isdigit()
        and len(raw) <= len(str(_INT32_MAX))
    ):
        count = int(raw)
        return count if count <= _INT32_MAX else None
    return None


def find_doubt(usage: Usage) -> Doubt | None:
    """Why these counts can't be priced; None when they can.

    The total may leave out what tools fed back, and details may leave out a part: neither may say
    more than the counts do.
    """
    prompt, candidates, total = usage.prompt, usage.candidates, usage.total
    if prompt is None or candidates is None or usage.doubt is not None:
        return usage.doubt or Doubt.UNCOUNTED
    if total is not None:
        parts = prompt + candidates + usage.thoughts
        if total not in (parts, parts + usage.tool_use_prompt):
            return Doubt.UNCOUNTED if total > parts + usage.tool_use_prompt else Doubt.CONTRADICTED
    if (
        usage.cached > prompt
        or _exceeds(usage.prompt_details, prompt)
        or _exceeds(usage.candidates_details, candidates)
        or (usage.cached_details and _cached_exceeds(usage))
        or _exceeds(usage.tool_use_prompt_details, usage.tool_use_prompt)
    ):
        return Doubt.CONTRADICTED
    return None


def _exceeds(details: list[ModalityCount] | None, count: int) -> bool:
    return details is not None and sum([one.token_count for one in details]) > count


def _cached_exceeds(usage: Usage) -> bool:
    """Whether more tokens are cached than there are, of all or of one modality.

    At least one modality is told.
    """
    if _exceeds(usage.cached_details, usage.cached):
        return True
    left = Counter[str]()
    for one in usage.prompt_details or ():
        left[one.modality] += one.token_count
    is_complete = left.total() == usage.prompt
    for one in usage.cached_details or ():
        left[one.modality] -= one.token_count
    return is_complete and min(left.values()) < 0
