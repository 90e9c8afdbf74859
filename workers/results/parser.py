"""Parses a line of a result file, or one inlined response, into a Result: key, outcome, usage.

Two ways lead to the same result. The fast one is a typed decoder that skips most of a line, and
only ever says "there is an answer under this key". Lines of which it can't say that (errors,
blocks, snake_case, OpenAI's form, lone surrogates, NaN, wrong types, broken JSON) go the tolerant
way, whose rules are in `workers.results.rules`.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec

from receiver.outputs.outcomes import Outcome
from workers.results.candidates import MAX_TOKENS
from workers.results.large_lines import KEPT_BYTES, LARGE_LINE_BYTES, find_excess, shorten
from workers.results.lines import is_utf8
from workers.results.rules import Result, judge_row, malformed
from workers.results.usages import Usage, token_usage

_ABSENT = msgspec.Raw()


class _Blob(msgspec.Struct, gc=False):
    data: msgspec.Raw = _ABSENT


class _Call(msgspec.Struct, gc=False):
    name: msgspec.Raw = _ABSENT


class _Part(msgspec.Struct, gc=False, rename="camel"):
    text: msgspec.Raw = _ABSENT  # raw: neither copied nor decoded
    thought: bool = False
    inline_data: _Blob | None = None
    function_call: _Call | None = None


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, gc=False, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: msgspec.Raw = _ABSENT


class _Embedding(msgspec.Struct, gc=False):
    values: msgspec.Raw = _ABSENT


class _Response(msgspec.Struct, gc=False, rename="camel"):
    candidates: list[_Candidate] | None = None
    usage_metadata: Usage | None = None
    embedding: _Embedding | None = None
    token_count: str | int | None = None
    model_version: str | None = None


class _Metadata(msgspec.Struct, gc=False):
    key: str | None = None


class _Row(msgspec.Struct, gc=False):
    response: _Response | None = None
    key: str | None = None
    metadata: _Metadata | None = None
    error: msgspec.Raw = _ABSENT


_decode_row = msgspec.json.Decoder(_Row).decode
_decode_with_texts = json.JSONDecoder(parse_int=str, parse_float=str).decode
_starts_with_number = re.compile(rb"\[\s*-?[0-9]").match
# Text whose first character after line breaks and spaces is surely visible: ASCII, or a lead byte
# of UTF-8 that begins no white space and no format character.
_starts_visibly = re.compile(
    rb'"(?:\\[nrt]|[ ])*+(?:[!#-\[\]-~]|\\["\\/]|[\xc3-\xd7\xd9\xda\xdd-\xdf\xe4-\xed]'
    rb"|\xd8[\xa0-\xbf]|\xe0[\xa4-\xbf]|\xe3[\x81-\xbf]|\xf0\x9f)"
).match
# A module's name is looked up ten times faster than a member of an enum.
_OK, _TRUNCATED = Outcome.OK, Outcome.TRUNCATED
_BOM = "\ufeff"
_BRACE, _QUOTE = ord("{"), ord('"')
_NULL_BYTES = len(b"null")
# Each name of a usage in snake_case holds one of these.
_SNAKE_COUNTS = (b"token_count", b"_tokens_details", b"service_tier")


def is_blank(line: bytes) -> bool:
    """Whether a line has only white space or a byte order mark."""
    return not line or (
        line[0] != _BRACE and (line.isspace() or not line.removeprefix(_BOM.encode()).strip())
    )


def parse_result(line: bytes, *, valid_utf8: bool = True) -> Result:
    """The result that a line stands for. Takes any bytes and never raises.

    `valid_utf8=False` asks for a check of this line: the fast decoder does not check strings that
    it skips. The outcome is never DUPLICATE: earlier keys are not known here.
    """
    if not valid_utf8 and not is_utf8(line):
        return _parse_tolerantly(line)
    if len(line) > LARGE_LINE_BYTES and (excess := find_excess(line)):
        return malformed("size", excess)
    try:
        row = _decode_row(line)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return _parse_tolerantly(line)
    return _clear_answer(row, line) or _parse_tolerantly(line)


def line_parser(key_member: str) -> Callable[..., Result]:
    """`parse_result`, or the same for keys in the member that RESULT_KEY names."""
    if not key_member:
        return parse_result
    decode = msgspec.json.Decoder(_named_row(key_member)).decode

    def parse(line: bytes, *, valid_utf8: bool = True) -> Result:
        if not valid_utf8 and not is_utf8(line):
            return _parse_tolerantly(line, key_member)
        if len(line) > LARGE_LINE_BYTES and (excess := find_excess(line)):
            return malformed("size", excess)
        try:
            row = decode(line)
        except (ValueError, RecursionError):
            return _parse_tolerantly(line, key_member)
        named = None if row.metadata is None else row.metadata.named
        named = row.named if named is None else named
        row.key = row.key if named is None else named
        return _clear_answer(row, line) or _parse_tolerantly(line, key_member)

    return parse


def _named_row(key_member: str) -> Any:
    """A `_Row` that has the member, too, in its metadata and beside them."""
    options: Any = {"rename": {"named": key_member}, "gc": False}
    named = ("named", str | None, None)
    metadata: Any = msgspec.defstruct("_NamedMetadata", [named], bases=(_Metadata,), **options)
    return msgspec.defstruct(
        "_NamedRow", [named, ("metadata", metadata | None, None)], bases=(_Row,), **options
    )


def _may_name_model(response: _Response, line: bytes) -> bool:
    return response.model_version is None and b"model_version" in line


def _clear_answer(row: _Row, line: bytes) -> Result | None:
    """The result when the first candidate surely answers, as most do; else None.

    A member that is absent may be there in snake_case: then the line is searched for its name.
    """
    response, key = row.response, row.key
    if key is None and row.metadata is not None:
        key = row.metadata.key
    if (
        response is None
        or key is None
        or row.error is not _ABSENT
        or _may_name_model(response, line)
    ):
        return None
    if not response.candidates:
        return _clear_embedding(response, key, line)
    candidate, usage = response.candidates[0], response.usage_metadata
    reason = candidate.finish_reason
    if reason == "STOP":
        outcome = _OK
    elif (
        reason == MAX_TOKENS
        and len(response.candidates) == 1
        and not _has_finish_message(candidate, line)
    ):
        outcome = _TRUNCATED
    elif reason is None and b"finish_reason" not in line:
        outcome = _OK
    else:
        return None
    if candidate.content is None or not _is_plain(usage, line):
        return None
    for part in candidate.content.parts or ():
        if not part.thought and (_starts_visibly(part.text) or _has_content(part)):
            return Result(key, outcome, reason, None, False, usage, response.model_version)
    return None


def _has_finish_message(candidate: _Candidate, line: bytes) -> bool:
    return candidate.finish_message is not _ABSENT or b"finish_message" in line


def _is_plain(usage: Usage | None, line: bytes) -> bool:
    """Whether the line can't hold anything of the usage in snake_case."""
    if usage is None:
        return b"usage_metadata" not in line
    return bool(usage.prompt) and not any(name in line for name in _SNAKE_COUNTS)


def _has_content(part: _Part) -> bool:
    """Whether a part without text surely holds something; a Raw that is `null` has 4 bytes."""
    blob, call = part.inline_data, part.function_call
    if blob is not None and len(blob.data) > _NULL_BYTES and memoryview(blob.data)[0] == _QUOTE:
        return True
    return call is not None and len(call.name) > _NULL_BYTES


def _clear_embedding(response: _Response, key: str, line: bytes) -> Result | None:
    embedding = response.embedding
    if embedding is None or not _starts_with_number(bytes(memoryview(embedding.values)[:16])):
        return None
    usage = response.usage_metadata
    if usage is None and response.token_count is not None:
        usage = token_usage(str(response.token_count))
    if not _is_plain(usage, line) or (usage is None and b"token_count" in line):
        return None
    if usage is not None and usage.candidates is None:
        usage.candidates = 0  # none are counted where none can come
    return Result(key, _OK, usage=usage, model=response.model_version)


def _parse_tolerantly(line: bytes, key_member: str = "") -> Result:
    return (
        _parse_large(line, key_member)
        if len(line) > LARGE_LINE_BYTES
        else _decode_and_judge(line, key_member)
    )


def decode_tolerantly(line: bytes) -> Any:
    """A line as Python's own decoder reads it. Raises ValueError and RecursionError.

    Numbers stay text as written: the key 1.0 is "1.0", and 5,000 digits cost nothing.
    """
    return _decode_with_texts(line.decode().removeprefix(_BOM))


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
