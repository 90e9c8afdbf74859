"""Parses a line that no typed decoder is sure of: any JSON, and what is none."""

import json

from receiver.answers.large_lines import KEPT_BYTES, LARGE_LINE_BYTES, find_excess, shorten
from receiver.tolerant_json import decode_tolerantly
from workers.results.rules import Result, judge_row, malformed
from workers.results.utf8 import is_utf8


def parse_tolerantly(line: bytes, key_member: str = "") -> Result:
    """The result of any line; `key_member` is RESULT_KEY. Never raises."""
    return (
        _parse_large(line, key_member)
        if len(line) > LARGE_LINE_BYTES
        else _decode_and_judge(line, key_member)
    )


def _decode_and_judge(line: bytes, key_member: str) -> Result:
    try:
        row = decode_tolerantly(line)
    except UnicodeDecodeError as error:
        return malformed("utf-8", f"the line is not UTF-8: {error.reason} at byte {error.start}")
    except json.JSONDecodeError as error:
        return malformed("json", f"the line is not JSON: {error.msg} at character {error.pos}")
    except RecursionError:
        return malformed("nesting", "the line is nested too deeply to be read")
    if not isinstance(row, dict):
        return malformed("json", "the line is JSON, but not an object")
    return judge_row(row, key_member)


def _parse_large(line: bytes, key_member: str) -> Result:
    """The result of a line whose long texts are shortened first: their ends decide nothing."""
    if excess := find_excess(line):
        return malformed("size", excess)
    if not is_utf8(line):
        return malformed("utf-8", "the line is not UTF-8")
    short = shorten(line)
    if short is None:
        return malformed("size", f"a line of {len(line)} bytes that is no plain answer is not read")
    result = _decode_and_judge(short, key_member)
    if result.code == "json":  # the place in the shortened line says nothing
        return malformed("json", "the line is not JSON, or no object")
    if result.key is not None and len(result.key) >= KEPT_BYTES // 16:
        return malformed("size", "the key of a large line is too long to be read")
    return result
