"""Parses a line of a result file, or one inlined response, into a Result: key, outcome, usage.

Three ways lead to the same result; a line takes the first one that is sure of it.

1. A strict decoder knows what most lines are: an answer that begins with visible text, ended with
   STOP, and names its model and its tokens. All these names are in camelCase, which wins over
   snake_case, and a usage with an unknown name is refused: there is nothing left to search for.
2. A lenient decoder knows other answers. What it lacks may be there in snake_case, so the line is
   searched for these names.
3. The tolerant way takes all else: errors, blocks, snake_case, OpenAI's form, lone surrogates, NaN,
   wrong types, broken JSON.

The two decoders skip most of a line, and only ever say "there is an answer under this key".
"""

import re
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from receiver.answers.candidates import MAX_TOKENS
from receiver.answers.large_lines import LARGE_LINE_BYTES, find_excess
from receiver.outputs.outcomes import Outcome
from receiver.tolerant_json import BOM
from workers.results.rules import Result, malformed
from workers.results.tolerant_parser import parse_tolerantly
from workers.results.usages import LenientUsage, Usage, strict_usage, token_usage
from workers.results.utf8 import is_utf8

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
    usage_metadata: LenientUsage | None = None
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


class _PlainPart(msgspec.Struct, gc=False):
    text: msgspec.Raw
    thought: None = None


class _PlainParts(msgspec.Struct, gc=False, array_like=True):
    first: _PlainPart  # an answer, whatever follows


class _PlainContent(msgspec.Struct, gc=False):
    parts: _PlainParts


class _PlainCandidate(msgspec.Struct, gc=False, rename="camel"):
    content: _PlainContent
    finish_reason: Literal["STOP"]


class _PlainCandidates(msgspec.Struct, gc=False, array_like=True):
    first: _PlainCandidate  # decides, whatever follows


class _PlainResponse(msgspec.Struct, gc=False, rename="camel"):
    candidates: _PlainCandidates
    usage_metadata: Usage
    model_version: str


class _PlainRow(msgspec.Struct, gc=False):
    response: _PlainResponse
    key: str | None = None
    metadata: _Metadata | None = None
    error: None = None


_starts_with_number = re.compile(rb"\[\s*-?[0-9]").match
# Text whose first character after line breaks and spaces is surely visible: ASCII, or a lead byte
# of UTF-8 that begins no white space and no format character.
_starts_visibly = re.compile(
    rb'"(?:\\[nrt]|[ ])*+(?:[!#-\[\]-~]|\\["\\/]|[\xc3-\xd7\xd9\xda\xdd-\xdf\xe4-\xed]'
    rb"|\xd8[\xa0-\xbf]|\xe0[\xa4-\xbf]|\xe3[\x81-\xbf]|\xf0\x9f)"
).match
# A module's name is looked up ten times faster than a member of an enum.
_OK, _TRUNCATED = Outcome.OK, Outcome.TRUNCATED
_BRACE, _QUOTE = ord("{"), ord('"')
_NULL_BYTES = len(b"null")
# Each name of a usage in snake_case holds one of these.
_SNAKE_COUNTS = (b"token_count", b"_tokens_details", b"service_tier")


def is_blank(line: bytes) -> bool:
    """Whether a line has only white space or a byte order mark."""
    return not line or (
        line[0] != _BRACE and (line.isspace() or not line.removeprefix(BOM.encode()).strip())
    )


def line_parser(key_member: str = "") -> Callable[..., Result]:
    """A parser of lines, with keys in the member that RESULT_KEY names where there is one."""
    plain_row, row, key_of = _PlainRow, _Row, _key_of
    if key_member:
        plain_row, row = _with_member(_PlainRow, key_member), _with_member(_Row, key_member)
        key_of = _named_key_of
    decode_plain = msgspec.json.Decoder(plain_row).decode
    decode = msgspec.json.Decoder(row).decode

    def parse(line: bytes, *, valid_utf8: bool = True) -> Result:
        """The result that a line stands for. Takes any bytes and never raises.

        `valid_utf8=False` asks for a check of this line: the decoders do not check strings that
        they skip. The outcome is never DUPLICATE: earlier keys are not known here.
        """
        if not valid_utf8 and not is_utf8(line):
            return parse_tolerantly(line, key_member)
        if len(line) > LARGE_LINE_BYTES and (excess := find_excess(line)):
            return malformed("size", excess)
        try:
            plain = decode_plain(line)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            return parse_other(line)
        return _plain_answer(plain.response, key_of(plain)) or parse_other(line)

    def parse_other(line: bytes) -> Result:
        try:
            found = decode(line)
        except (ValueError, RecursionError):
            return parse_tolerantly(line, key_member)
        return _clear_answer(found, key_of(found), line) or parse_tolerantly(line, key_member)

    return parse


def _with_member(kind: type[msgspec.Struct], key_member: str) -> Any:
    """A row that has the member, too, in its metadata and beside them."""
    options: Any = {"rename": {"named": key_member}, "gc": False, "kw_only": True}
    named = ("named", str | None, None)
    metadata: Any = msgspec.defstruct("_NamedMetadata", [named], bases=(_Metadata,), **options)
    return msgspec.defstruct(
        "_NamedRow", [named, ("metadata", metadata | None, None)], bases=(kind,), **options
    )


def _key_of(row: _PlainRow | _Row) -> str | None:
    if row.key is None and row.metadata is not None:
        return row.metadata.key
    return row.key


def _named_key_of(row: Any) -> str | None:
    named = None if row.metadata is None else row.metadata.named
    named = row.named if named is None else named
    return _key_of(row) if named is None else named


def _plain_answer(response: _PlainResponse, key: str | None) -> Result | None:
    """The result of a row that the strict decoder took; None where it may be another one."""
    usage, candidate = response.usage_metadata, response.candidates.first
    if (
        key is None
        or usage.prompt is None
        or not _starts_visibly(candidate.content.parts.first.text)
    ):
        return None
    return Result(key, _OK, "STOP", None, False, usage, response.model_version)


def _may_name_model(response: _Response, line: bytes) -> bool:
    return response.model_version is None and b"model_version" in line


def _clear_answer(row: _Row, key: str | None, line: bytes) -> Result | None:
    """The result when the first candidate surely answers, as most do; else None.

    A member that is absent may be there in snake_case: then the line is searched for its name.
    """
    response = row.response
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
            counts = strict_usage(usage)
            return Result(key, outcome, reason, None, False, counts, response.model_version)
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
    usage = strict_usage(response.usage_metadata)
    if usage is None and response.token_count is not None:
        usage = token_usage(str(response.token_count))
    if not _is_plain(usage, line) or (usage is None and b"token_count" in line):
        return None
    if usage is not None and usage.candidates is None:
        usage.candidates = 0  # none are counted where none can come
    return Result(key, _OK, usage=usage, model=response.model_version)


parse_result = line_parser()
