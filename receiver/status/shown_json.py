"""JSON as people read it: indented, without what nobody would read to its end. Pure."""

import json
import re
from typing import Any

import msgspec

MAX_DEPTH = 32  # of what is indented: deeper, the spaces outgrow the rest
MAX_TEXT = 2_000  # characters of one text inside of a value
MAX_ENTRIES = 200  # of one list or object inside of a value
_find_tokens = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]').finditer
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


def indent_text(text: str) -> str | None:
    """A text that is a JSON object or list, indented; its values stay as they are written.

    None for any other text.
    """
    if not text.lstrip().startswith(("{", "[")) or _depth_of(text) > MAX_DEPTH:
        return None
    try:
        msgspec.json.decode(text)
        return msgspec.json.format(text, indent=2)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None


def _depth_of(text: str) -> int:
    depth = deepest = 0
    for token in _find_tokens(text):
        depth += _STEPS.get(token[0], 0)
        deepest = max(deepest, depth)
    return deepest


def show_value(value: object) -> str:
    """A decoded value, indented; long texts, long lists and what is nested deeply are shortened."""
    return json.dumps(_shorten(value, MAX_DEPTH), indent=2, ensure_ascii=False)


def _shorten(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        left = len(value) - MAX_TEXT
        return value if left <= 0 else f"{value[:MAX_TEXT]}… {left:,} more characters"
    if not isinstance(value, dict | list) or not value:
        return value
    if not depth:
        return "…"
    left = len(value) - MAX_ENTRIES
    if isinstance(value, dict):
        shown = {
            _shorten(name, depth - 1): _shorten(value[name], depth - 1)
            for name in list(value)[:MAX_ENTRIES]
        }
        return shown if left <= 0 else shown | {"…": f"{left:,} more"}
    items = [_shorten(item, depth - 1) for item in value[:MAX_ENTRIES]]
    return items if left <= 0 else [*items, f"… {left:,} more"]
