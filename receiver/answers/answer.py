"""What the forms take from the answer in a line: text, thoughts, media, calls and embedding."""

import json
from collections import Counter
from collections.abc import Collection
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from receiver.answers.candidates import End, end_of, holds_answer, parts_of
from receiver.answers.large_lines import find_excess, find_wide_text
from receiver.answers.shapes import find_error, unify_row
from receiver.outputs.forms import Form
from receiver.tolerant_json import as_list, as_object, as_text

MAX_KINDS = 10
MAX_TEXT_CHARACTERS = 8 * 1024 * 1024  # a hundred times what models write
KIND_CHARACTERS = 40
# The forms that hold a part of a kind; other kinds are in none. Only the user leaves text and
# thoughts out.
_HOLDERS: dict[str, frozenset[Form]] = {
    "inlineData": frozenset({"media"}),
    "functionCall": frozenset({"json", "table"}),
    "executableCode": frozenset({"table"}),
    "codeExecutionResult": frozenset({"table"}),
}
_SILENT = frozenset({"text", "thought", "thoughtSignature"})
_TEXTS = ("text", "functionCall", "executableCode", "codeExecutionResult")
_SUCCESS = "OUTCOME_OK"
_BOM = "\ufeff"


class Candidate(NamedTuple):
    """One candidate that is shown.

    Its text can hold lone surrogates, which `plain_text` makes writable.
    """

    number: int = 0  # its place among the candidates, from 0
    finish_reason: str | None = None
    text: str | None = None  # all of it together, without thoughts
    thoughts: str | None = None
    media: tuple[dict[str, Any], ...] = ()  # `inlineData` of each part that has some, as it came
    # `functionCall` of each part that has one, its fractions as Decimal.
    calls: tuple[dict[str, Any], ...] = ()
    code: str | None = None  # that the model wrote to be run
    code_output: str | None = None  # what came of it


NO_CANDIDATE = Candidate()


class Answer(NamedTuple):
    """What a line holds: the candidate that decides its outcome, and others that are shown."""

    chosen: Candidate | None = None
    further: tuple[Candidate, ...] = ()  # by number
    embedding: list[Any] | None = None  # `values` as they came
    finish_reasons: tuple[str, ...] = ()  # of all candidates
    unshown: tuple[tuple[str, int], ...] = ()  # kinds of parts beside text, and their numbers

    @property
    def candidates(self) -> list[Candidate]:
        """All that are shown, by number."""
        shown = self.further if self.chosen is None else (self.chosen, *self.further)
        return sorted(shown, key=lambda candidate: candidate.number)

    @property
    def text(self) -> str | None:
        """The words of the chosen candidate."""
        return None if self.chosen is None else self.chosen.text

    def left_out(self, forms: Collection[Form]) -> str | None:
        """What none of these forms holds, in words; None when they hold everything."""
        left = [
            f"{count} {kind}"
            for kind, count in self.unshown
            if not _HOLDERS.get(kind, frozenset()).intersection(forms)
        ]
        more = f" and {len(left) - MAX_KINDS} more kinds" if len(left) > MAX_KINDS else ""
        return f"in the raw line alone: {', '.join(left[:MAX_KINDS])}{more}" if left else None


NO_ANSWER = Answer()


def read_answer(line: bytes) -> Answer:
    """The answer that a line of a result file holds; an empty one when it has none. Never raises.

    What would take too much memory is not decoded, and listed as left out.
    """
    if excess := find_excess(line) or find_wide_text(line):
        return Answer(unshown=((excess, 1),))
    answer = _read(line, None)
    if any(candidate.calls for candidate in answer.candidates):
        return _read(line, Decimal)  # the arguments of calls keep their digits
    return answer


def _read(line: bytes, float_hook: Any) -> Answer:
    unified = unify_row(decode_line(line, float_hook))
    response = as_object(unified.get("response"))
    if find_error(unified) is not None:
        return NO_ANSWER
    numbered = enumerate(as_list(response.get("candidates")))
    candidates = [
        (number, candidate) for number, candidate in numbered if isinstance(candidate, dict)
    ]
    shown = _in_order([(number, one, end_of(one)) for number, one in candidates])
    read = [_read_candidate(number, candidate) for number, candidate, _ in shown]
    embedding = as_list(as_object(response.get("embedding")).get("values")) or None
    reasons = [as_text(candidate.get("finishReason")) for _, candidate in candidates]
    return Answer(
        read[0] if read else None,
        tuple(
            one
            for one in read[1:]
            if one != NO_CANDIDATE._replace(number=one.number, finish_reason=one.finish_reason)
        ),
        embedding,
        tuple(plain_text(reason) for reason in reasons if reason is not None),
        tuple(_count_unshown(response, candidates, {number for number, _, _ in shown}).items()),
    )


def plain_text(text: str) -> str:
    """Text that UTF-8 can hold: a lone surrogate becomes a backslash, `u` and four hex digits."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace").decode()
    return text


def decode_line(line: bytes, float_hook: Any = None) -> dict[str, Any]:
    """The object in a line, in whatever form; an empty one where there is none. Never raises.

    What `find_excess` and `find_wide_text` name would take too much memory.
    """
    try:
        row = msgspec.json.Decoder(float_hook=float_hook).decode(line)
    except (ValueError, RecursionError):  # lone surrogates and NaN are more than it reads
        row = _decode_tolerantly(line, float_hook)
    return as_object(row)


def _decode_tolerantly(line: bytes, float_hook: Any) -> object:
    try:
        return json.loads(line.decode().removeprefix(_BOM), parse_float=float_hook)
    except (ValueError, RecursionError):
        return None


_Shown = tuple[int, dict[str, Any], End]


def _in_order(candidates: list[_Shown]) -> list[_Shown]:
    """Those that are shown: complete answers, then cut ones, then those with thoughts alone.

    The first one decides the outcome. What was blocked or broke is not shown.
    """

    def rank(one: _Shown) -> tuple[bool, bool, int]:
        number, candidate, end = one
        return not holds_answer(candidate), end is not End.CLEAN, number

    return sorted((one for one in candidates if one[2] in {End.CLEAN, End.CUT}), key=rank)


def _read_candidate(number: int, candidate: dict[str, Any]) -> Candidate:
    parts = parts_of(candidate)
    spoken = [part for part in parts if part.get("thought") is not True]
    thinking = [part for part in parts if part.get("thought") is True]
    code = [as_text(as_object(part.get("executableCode")).get("code")) for part in spoken]
    if _text_length(parts) > MAX_TEXT_CHARACTERS:
        spoken, thinking, code = [{"inlineData": part.get("inlineData")} for part in spoken], [], []
    return Candidate(
        number,
        as_text(candidate.get("finishReason")),
        _join([as_text(part.get("text")) for part in spoken]),
        _join([as_text(part.get("text")) for part in thinking]),
        tuple(part["inlineData"] for part in spoken if isinstance(part.get("inlineData"), dict)),
        tuple(
            part["functionCall"] for part in spoken if isinstance(part.get("functionCall"), dict)
        ),
        _join(code, "\n"),
        _join([_read_output(as_object(part.get("codeExecutionResult"))) for part in spoken], "\n"),
    )


def _text_length(parts: list[dict[str, Any]]) -> int:
    """Characters of all texts, code and arguments."""
    return sum(_count_characters(part.get(name)) for part in parts for name in _TEXTS)


def _count_characters(value: object) -> int:
    """Those of all texts in a decoded value, with the names of members."""
    count, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            count += len(one)
        elif isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
    return count


def _read_output(result: dict[str, Any]) -> str | None:
    """The output of code that ran, after the outcome of a run that failed."""
    output, outcome = as_text(result.get("output")), as_text(result.get("outcome"))
    if outcome in (None, _SUCCESS):
        return output
    return f"{outcome}: {output or ''}"


def _join(texts: list[str | None], between: str = "") -> str | None:
    return between.join(text for text in texts if text) or None


def _count_unshown(
    response: dict[str, Any], candidates: list[tuple[int, dict[str, Any]]], shown: set[int]
) -> Counter[str]:
    """Parts other than text and thoughts, by kind; and candidates that are not shown."""
    kinds = Counter[str]()
    for number, candidate in candidates:
        parts = as_list(as_object(candidate.get("content")).get("parts"))
        if number not in shown:
            kinds[f"candidate that ended with {_name(candidate.get('finishReason'))}"] += bool(
                parts and shown
            )
            continue
        if (length := _text_length(parts_of(candidate))) > MAX_TEXT_CHARACTERS:
            kinds[f"text of {length} characters"] += 1
        for part in parts:
            if not isinstance(part, dict):
                kinds["part of an unknown shape"] += 1
                continue
            thought = "thought " if part.get("thought") is True else ""
            kinds.update(
                f"{thought}{_name(name)}" for name, value in part.items() if _is_listed(name, value)
            )
    vectors = len(as_list(response.get("embeddings"))) - 1
    if vectors > 0:
        kinds["further embedding"] = vectors
    return +kinds


def _is_listed(name: str, value: object) -> bool:
    return value is not None and (
        name not in _SILENT or (name == "text" and not isinstance(value, str))
    )


def _name(name: object) -> str:
    return plain_text(str(name))[:KIND_CHARACTERS]
