"""The tokens of one line as Gemini counted them, and whether a price can be made of them.

The service's JSON leaves out what is 0, so that an absent count and a count that was not told look alike. A prompt has
tokens, and so has an answer that holds something: where these two are not told, nothing is known. All others may be 0.
"""

from collections import Counter
from enum import StrEnum
from typing import Annotated, Any, Literal, cast, get_args

import msgspec

_INT32_MAX = 2**31 - 1
_Count = Annotated[
    int, msgspec.Meta(ge=0, le=_INT32_MAX)
]  # the API's counts are int32; what is larger is noise
_Told = Annotated[int, msgspec.Meta(ge=1, le=_INT32_MAX)]
_UNSPECIFIED = "MODALITY_UNSPECIFIED"
_UsualTier = Literal["SERVICE_TIER_STANDARD", "standard"]
_TIER_PREFIX = "SERVICE_TIER_"
_BATCH_TIERS = frozenset({"", "UNSPECIFIED", "STANDARD", "BATCH"})  # as lines of batches say it
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
    """Why nobody knows what a line cost: what follows "2 lines"."""

    UNCOUNTED = "came without a full count of tokens"
    CONTRADICTED = "came with counts that contradict each other"
    TIER = "came from another service tier than that of batches"
    UNREAD = "could not be read"
    REPEATED = "repeated the key of another line"


class ModalityCount(msgspec.Struct, gc=False, rename="camel"):
    modality: str = _UNSPECIFIED
    token_count: _Count = 0


class Usage(msgspec.Struct, gc=False, rename=_COUNTS | _DETAILS | {"service_tier": "serviceTier"}):
    """Tokens as `usageMetadata` reports them. None: not told."""

    prompt: _Told | None = None  # the cached ones included
    cached: _Count = 0
    candidates: _Told | None = None  # 0 where nothing came that could have any
    thoughts: _Count = 0
    tool_use_prompt: _Count = 0
    total: _Count | None = None
    prompt_details: list[ModalityCount] | None = None
    cached_details: list[ModalityCount] | None = None
    candidates_details: list[ModalityCount] | None = None
    tool_use_prompt_details: list[ModalityCount] | None = None
    service_tier: _UsualTier | None = None  # `read_usage` judges any other
    doubt: Doubt | None = None  # what `read_usage` found wrong


def read_usage(response: dict[str, Any], *, holds_answer: bool) -> Usage | None:
    """The usage of a decoded response, its numbers as text. `holds_answer`: there is content that has tokens."""
    raw = response.get("usageMetadata")
    if not isinstance(raw, dict):
        return token_usage(response.get("tokenCount"))
    usage = Usage()
    for name, wire in _COUNTS.items():
        count = _count(raw.get(wire))
        if count is not None:
            setattr(usage, name, count)
        elif raw.get(wire) is not None:
            usage.doubt = Doubt.UNCOUNTED
    for name, wire in _DETAILS.items():
        setattr(usage, name, _modality_counts(raw.get(wire)))
    usage.prompt = usage.prompt or None
    if holds_answer:
        usage.candidates = usage.candidates or None
    elif usage.candidates is None and (usage.total is not None or not response.get("candidates")):
        usage.candidates = 0  # none came, or the total tells that there are none
    _judge_tier(usage, raw.get("serviceTier"))
    return usage


def _judge_tier(usage: Usage, tier: object) -> None:
    """Batches have their own price; a line that says to have been served otherwise does not have it."""
    if tier in get_args(_UsualTier):
        usage.service_tier = cast("_UsualTier", tier)
    elif tier is not None and str(tier).upper().removeprefix(_TIER_PREFIX) not in _BATCH_TIERS:
        usage.doubt = usage.doubt or Doubt.TIER


def token_usage(token_count: object) -> Usage | None:
    """The usage of an embedding: the service writes its `tokenCount` as text, and it is all prompt."""
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
    """A number of tokens; None when it is none that the API could mean."""
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
    """Why no price can be made of these counts; None when one can.

    The total may leave out what tools fed back, and details may leave out a part: neither may say more than there is.
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
    """Whether more is cached than there is, in all or of one modality."""
    if _exceeds(usage.cached_details, usage.cached):
        return True
    left = Counter[str]()
    for one in usage.prompt_details or ():
        left[one.modality] += one.token_count
    told_all = left.total() == usage.prompt
    for one in usage.cached_details or ():
        left[one.modality] -= one.token_count
    return told_all and min(left.values(), default=0) < 0
