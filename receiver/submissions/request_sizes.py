"""What the tokens of one request depend on. Pure.

Names may be in camelCase or in snake_case, as Gemini takes both.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

# All others run at Gemini, and what they find is more input; no request says how much.
_OWN_TOOLS = frozenset({"functiondeclarations", "computeruse"})


class RequestSize(msgspec.Struct, frozen=True, gc=False):
    """How large a request is."""

    text_bytes: int  # of its line, without the data of attachments
    attachments: int  # files, inline data and cached contents, whose tokens no bytes tell
    output_tokens: int | None  # the limit that it states for one candidate
    candidates: int
    runs_tools: bool  # such as a search: Gemini adds their results to the input


def measure_request(line: bytes, request: Mapping[str, Any]) -> RequestSize:
    """The size of a request and of the line that holds it."""
    text_bytes, attachments = len(line), 0
    if b"nline" in line or b"ile" in line:  # else the walk would find nothing
        for data_bytes in _find_attachments(request):
            text_bytes, attachments = text_bytes - data_bytes, attachments + 1
    if request.get("cachedContent") or request.get("cached_content"):
        attachments += 1

    tools = request.get("tools")
    config = request.get("generationConfig") or request.get("generation_config")
    if not isinstance(config, dict):
        config = {}
    output = config.get("maxOutputTokens") or config.get("max_output_tokens")
    candidates = config.get("candidateCount") or config.get("candidate_count")
    return RequestSize(
        text_bytes,
        attachments,
        _read_count(output) if output else None,
        (_read_count(candidates) or 1) if candidates else 1,
        _runs_tools(tools) if tools else False,
    )


def _find_attachments(request: Any) -> Iterator[int]:
    """The bytes of the data of each one, at whatever depth."""
    waiting = [request]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            data = value.get("inlineData") or value.get("inline_data")
            if isinstance(data, dict):
                blob = data.get("data")
                yield len(blob) if isinstance(blob, str) else 0
            elif isinstance(value.get("fileData") or value.get("file_data"), dict):
                yield 0
            else:
                waiting += value.values()


def _runs_tools(tools: Any) -> bool:
    if not isinstance(tools, list):
        return False
    names = {name.replace("_", "").lower() for tool in tools for name in _names_of(tool)}
    return not names <= _OWN_TOOLS


def _names_of(tool: Any) -> list[str]:
    return [name for name in tool if tool[name] is not None] if isinstance(tool, dict) else []


def _read_count(value: Any) -> int | None:
    """A positive number; None for what is none."""
    try:
        count = 0 if isinstance(value, bool) else int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return count if count > 0 else None
