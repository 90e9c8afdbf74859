"""A line of a result file, or one inlined response, becomes a Result: key, outcome, usage.

Two ways lead to the same result. The fast one is a typed decoder that skips what nobody asks for; it only ever says
"there is an answer under this key". Whatever it can't say that of (errors, blocks, lone surrogates, NaN, wrong types,
broken JSON) goes the tolerant way, and `workers.rules` holds every rule of it.
"""

import json
import re

import msgspec

from receiver.outcomes import Outcome
from workers.lines import is_utf8
from workers.rules import MAX_TOKENS, Result, answer_outcome, judge_row, malformed
from workers.usages import Usage, token_usage

_ABSENT = msgspec.Raw()


class _Part(msgspec.Struct, gc=False, rename="camel"):
    text: msgspec.Raw = _ABSENT  # raw: neither copied nor decoded
    thought: bool = False
    inline_data: msgspec.Raw = _ABSENT
    function_call: msgspec.Raw = _ABSENT


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, gc=False, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None


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
# Numbers stay the text that they were written as: the key 1.0 is "1.0", and 5,000 digits cost nothing.
_decode_tolerantly = json.JSONDecoder(parse_int=str, parse_float=str).decode
_starts_with_number = re.compile(rb"\[\s*-?[0-9]").match
_BOM = "\ufeff"
_BRACE = ord("{")
_NULL_BYTES = len(b"null")
# What a finish means for an answer, where nothing else has to be asked.
_CLEAR_OUTCOMES = {reason: answer_outcome(reason) for reason in (None, "FINISH_REASON_UNSPECIFIED", "STOP", MAX_TOKENS)}


def is_blank(line: bytes) -> bool:
    """Whether a line is no result at all, only white space or a byte order mark."""
    return not line or (line[0] != _BRACE and (line.isspace() or not line.removeprefix(_BOM.encode()).strip()))


def parse_result(line: bytes, *, valid_utf8: bool = True) -> Result:
    """The result that a line stands for. Never raises; takes bytes of any kind.

    `valid_utf8=False` asks for a check of this line: the fast decoder does not look into the strings that it skips.
    Whether a key came before is not known here: DUPLICATE is never given.
    """
    if not valid_utf8 and not is_utf8(line):
        return _parse_tolerantly(line)
    try:
        row = _decode_row(line)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return _parse_tolerantly(line)
    return _clear_answer(row) or _parse_tolerantly(line)


def _clear_answer(row: _Row) -> Result | None:
    """The result when the first candidate answers beyond doubt, as most do; None sends the row the tolerant way."""
    response, key = row.response, row.key
    if key is None and row.metadata is not None:
        key = row.metadata.key
    if response is None or key is None or row.error is not _ABSENT:
        return None
    if not response.candidates:
        return _clear_embedding(response, key)
    candidate = response.candidates[0]
    reason = candidate.finish_reason
    outcome = _CLEAR_OUTCOMES.get(reason)
    if outcome is None or candidate.content is None:
        return None
    for part in candidate.content.parts or ():
        if not part.thought and (len(part.text) > _NULL_BYTES or _has_content(part)):
            return Result(key, outcome, reason, None, False, response.usage_metadata, response.model_version)
    return None


def _has_content(part: _Part) -> bool:
    """Whether a part surely holds something; a Raw is as long as its JSON: `""` takes 2 bytes, `null` 4."""
    size = len(part.text)
    if size > len(b'""'):
        return size != _NULL_BYTES or bytes(part.text) != b"null"
    return len(part.inline_data) > _NULL_BYTES or len(part.function_call) > _NULL_BYTES


def _clear_embedding(response: _Response, key: str) -> Result | None:
    embedding = response.embedding
    if embedding is None or not _starts_with_number(bytes(memoryview(embedding.values)[:16])):
        return None
    return Result(key, Outcome.OK, usage=_embedding_usage(response), model=response.model_version)


def _embedding_usage(response: _Response) -> Usage | None:
    """No candidates are counted where none can come."""
    usage = response.usage_metadata
    if usage is None:
        return None if response.token_count is None else token_usage(str(response.token_count))
    if usage.candidates is None:
        usage.candidates = 0
    return usage


def _parse_tolerantly(line: bytes) -> Result:
    try:
        row = _decode_tolerantly(line.decode().removeprefix(_BOM))
    except UnicodeDecodeError as error:
        return malformed("utf-8", f"the line is not UTF-8: {error.reason} at byte {error.start}")
    except json.JSONDecodeError as error:
        return malformed("json", f"the line is not JSON: {error.msg} at character {error.pos}")
    except RecursionError:
        return malformed("nesting", "the line is nested too deeply to be read")
    if not isinstance(row, dict):
        return malformed("json", "the line is JSON, but not an object")
    return judge_row(row)
