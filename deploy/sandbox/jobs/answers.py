"""Made-up answers in Gemini's format. Pure: the same seed and request give the same answer."""

import base64
import hashlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deploy.sandbox.faults.markers import Marker, find_marker
from deploy.sandbox.google_api import Json, encode_compact, pick
from deploy.sandbox.jobs.png import make_noise_png, make_striped_png
from deploy.sandbox.jobs.schemas import make_misfit, make_text, make_value
from deploy.sandbox.jobs.tokens import (
    CACHED_TOKENS,
    count_prompt,
    count_text,
    describe_details,
    text_of,
)

DEFAULT_DIMENSIONS = 768
RPC_INVALID_ARGUMENT = 3
RPC_UNAVAILABLE = 14
RPC_INTERNAL = 13
MESSAGES = {
    RPC_INVALID_ARGUMENT: "The request is not valid.",
    4: "The deadline passed before the request was done.",
    8: "The quota is used up.",
    RPC_INTERNAL: "The request failed inside the service.",
    14: "The service is not available at the moment.",
}
LINE_MARKERS = ("missing", "duplicate", "nokey", "metadata-key", "stuck")
KNOWN_MARKERS = (
    *LINE_MARKERS,
    "blocked",
    "blocked-candidate",
    "truncated",
    "empty",
    "invalid",
    "error",
    "status",
    "image",
)


@dataclass(frozen=True)
class _Ask:
    """One GenerateContentRequest, read once."""

    request: Json
    config: Json  # its generationConfig
    prompt: str  # all of its text
    marker: Marker | None
    rng: random.Random
    tier: str

    def asks(self, name: str) -> bool:
        return self.marker is not None and self.marker.name == name

    def tool(self, name: str) -> Any:
        """The member `name` of the first tool that has it, or None."""
        tools = pick(self.request, "tools") or []
        return next((found for tool in tools if (found := pick(tool, name)) is not None), None)


FindMarker = Callable[[str], Marker | None]


def answer_generate(
    request: Json, model: str, seed: int, find: FindMarker = find_marker, tier: str = "standard"
) -> tuple[Json, Marker | None]:
    """`{"response": …}`, `{"error": …}` or `{"status": …}` for a request, and its marker.

    `find` gives the marker that counts for a request's text.
    """
    contents = pick(request, "contents")
    prompt = text_of(contents)
    marker = find(prompt)
    failure = _failure_for(marker)
    if failure is not None:
        return failure, marker
    if not contents:
        return error_body(
            RPC_INVALID_ARGUMENT, "* GenerateContentRequest.contents: contents is not specified"
        ), marker
    config = pick(request, "generationConfig") or {}
    marker = _after_budget(marker, config)
    ask = _Ask(request, config, prompt, marker, _rng(seed, request), tier)
    return {"response": _response(ask, model)}, marker


def answer_embed(
    request: Json, seed: int, find: FindMarker = find_marker
) -> tuple[Json, Marker | None]:
    """The same for an EmbedContentRequest: a unit vector of `outputDimensionality` numbers."""
    content = pick(request, "content")
    text = text_of(content)
    marker = find(text)
    failure = _failure_for(marker)
    if failure is not None:
        return failure, marker
    if not content:
        return error_body(
            RPC_INVALID_ARGUMENT, "* EmbedContentRequest.content: content is not specified"
        ), marker
    rng = _rng(seed, content)
    values = [
        rng.gauss(0, 1)
        for _ in range(int(pick(request, "outputDimensionality") or DEFAULT_DIMENSIONS))
    ]
    length = math.sqrt(sum(value * value for value in values)) or 1.0
    embedding = {"values": [round(value / length, 9) for value in values]}
    return {
        "response": _shuffled({"tokenCount": str(count_text(text)), "embedding": embedding}, rng)
    }, marker


def error_body(code: int, message: str | None = None, name: str = "error") -> Json:
    return {name: {"code": code, "message": message or MESSAGES.get(code, "The request failed.")}}


def _failure_for(marker: Marker | None) -> Json | None:
    if marker is None:
        return None
    if marker.name in ("error", "status"):
        return error_body(
            RPC_INTERNAL if marker.number is None else marker.number, name=marker.name
        )
    if marker.name not in KNOWN_MARKERS:
        return error_body(
            RPC_INVALID_ARGUMENT, f"The sandbox knows no marker {marker.name}: see markers.py."
        )
    return None


def _after_budget(marker: Marker | None, config: Json) -> Marker | None:
    """`truncated 200` is none for a request that may have 200 tokens."""
    if marker is None or marker.name != "truncated" or marker.number is None:
        return marker
    return None if int(pick(config, "maxOutputTokens") or 0) >= marker.number else marker


def _response(ask: _Ask, model: str) -> Json:
    details = count_prompt(ask.request)
    usage: Json = {"promptTokenCount": sum(details.values()), "serviceTier": ask.tier}
    usage["promptTokensDetails"] = describe_details(details)
    response: Json = {"modelVersion": model.rpartition("/")[2], "responseId": _response_id(ask.rng)}
    if ask.asks("blocked"):
        response["promptFeedback"] = {"blockReason": "PROHIBITED_CONTENT"}
    else:
        count = int(pick(ask.config, "candidateCount") or 1)
        response["candidates"] = [_candidate(ask, index) for index in range(count)]
        usage["candidatesTokenCount"] = sum(
            _produced_tokens(candidate) for candidate in response["candidates"]
        )
        if pick(ask.config, "thinkingConfig") is not None:
            usage["thoughtsTokenCount"] = ask.rng.randint(20, 200)
    usage["totalTokenCount"] = sum(
        count for name, count in usage.items() if name.endswith("TokenCount")
    )
    if pick(ask.request, "cachedContent"):  # these are a part of the prompt's
        usage["cachedContentTokenCount"] = CACHED_TOKENS
        usage["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": CACHED_TOKENS}]
    response["usageMetadata"] = usage
    return _shuffled(response, ask.rng)


def _candidate(ask: _Ask, index: int) -> Json:
    if ask.asks("blocked-candidate"):
        return {"finishReason": "SAFETY", "index": index}
    if ask.asks("truncated"):
        return {"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": index}
    parts = [{"text": ""}] if ask.asks("empty") else [*_thoughts(ask), *_parts(ask)]
    candidate: Json = {
        "content": {"parts": parts, "role": "model"},
        "finishReason": "STOP",
        "index": index,
    }
    if ask.tool("googleSearch") is not None or ask.tool("googleSearchRetrieval") is not None:
        candidate["groundingMetadata"] = _grounding(ask.prompt, parts[-1].get("text", ""))
    return _shuffled(candidate, ask.rng)


def _thoughts(ask: _Ask) -> list[Json]:
    if not pick(pick(ask.config, "thinkingConfig"), "includeThoughts"):
        return []
    return [{"text": f"First I look at the question. {make_text(ask.rng, 12)}.", "thought": True}]


def _parts(ask: _Ask) -> list[Json]:
    functions = ask.tool("functionDeclarations")
    if functions:
        chosen = ask.rng.choice(functions)
        schema = (
            pick(chosen, "parameters") or pick(chosen, "parametersJsonSchema") or {"type": "object"}
        )
        return [{"functionCall": {"name": chosen["name"], "args": make_value(schema, ask.rng)}}]
    if ask.asks("image") or "IMAGE" in (pick(ask.config, "responseModalities") or []):
        side = ask.marker.number if ask.marker else None
        picture = make_noise_png(ask.rng, side) if side else make_striped_png(ask.rng)
        inline = {"mimeType": "image/png", "data": base64.b64encode(picture).decode()}
        return [{"text": "Here is the picture."}, {"inlineData": inline}]
    return [{"text": _text_answer(ask)}]


def _text_answer(ask: _Ask) -> str:
    schema = pick(ask.config, "responseSchema") or pick(ask.config, "responseJsonSchema")
    if ask.asks("invalid"):
        return encode_compact(make_misfit(schema)).decode()
    if schema:
        return encode_compact(make_value(schema, ask.rng)).decode()
    if pick(ask.config, "responseMimeType") == "application/json":
        return encode_compact({"answer": make_text(ask.rng, 5)}).decode()
    opening = " ".join(ask.prompt.split())[:80]
    return f"You asked: {opening!r}. {make_text(ask.rng, ask.rng.randint(12, 40))}."


def _grounding(prompt: str, text: str) -> Json:
    segment = {"startIndex": 0, "endIndex": len(text.encode()), "text": text}
    return {
        "webSearchQueries": [" ".join(prompt.split())[:60]],
        "searchEntryPoint": {"renderedContent": "<div>made-up search</div>"},
        "groundingChunks": [{"web": {"uri": "https://example.com/source", "title": "example.com"}}],
        "groundingSupports": [{"segment": segment, "groundingChunkIndices": [0]}],
    }


def _produced_tokens(candidate: Json) -> int:
    content = candidate.get("content")
    return count_text(encode_compact(content).decode()) if content else 0


def _response_id(rng: random.Random) -> str:
    return base64.urlsafe_b64encode(rng.randbytes(16)).decode().rstrip("=")


def _rng(seed: int, request: Any) -> random.Random:
    digest = hashlib.blake2b(
        encode_compact(request), digest_size=8, key=str(seed).encode()
    ).digest()
    return random.Random(digest)


def _shuffled(members: Json, rng: random.Random) -> Json:
    """The same members in another order, since the service's order differs from line to line."""
    names = list(members)
    rng.shuffle(names)
    return {name: members[name] for name in names}
