"""Result lines of each kind: pools of rows, made once, into which a file's keys are set.

The shapes are those of the Batch API's result files: the answer first, the key last.
"""

import base64
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FIRST_KEY = b"g0-0"  # of a file's first line, which is always kept as it is: duplicates repeat it
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_BEYOND_ASCII = ["“quoted”", "naïve", "café", "—", "東京", "größer"]
_MARK = "@KEY@"


@dataclass(frozen=True)
class Row:
    """A line without its newline: `pieces` joined by a key; a single piece takes none."""

    pieces: tuple[bytes, ...]
    outcome: str | None  # what must become of it; None: the line is blank

    @classmethod
    def of(cls, row: object, outcome: str = "ok") -> "Row":
        """A row of an object whose key is _MARK."""
        return cls.raw(json.dumps(row, ensure_ascii=False, separators=(",", ":")), outcome)

    @classmethod
    def raw(cls, line: str, outcome: str | None) -> "Row":
        return cls(tuple(line.encode().split(_MARK.encode())), outcome)

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.pieces)) + 16


def make_pool(kind: str, generator: random.Random) -> list[Row]:
    """Rows to choose from, all equally often; the first one is ok and carries a key."""
    return POOLS[kind](generator)


def _answer(response: Any) -> Row:
    return Row.of({"response": response, "key": _MARK})


def _candidates(parts: list[Any], generator: random.Random, reason: str = "STOP") -> dict[str, Any]:
    candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": reason, "index": 0}
    prompt, answer, thoughts = (
        generator.randint(5, 900),
        generator.randint(1, 700),
        generator.randint(10, 300),
    )
    usage = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": answer,
        "totalTokenCount": prompt + answer + thoughts,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
        "thoughtsTokenCount": thoughts,
        "serviceTier": "SERVICE_TIER_STANDARD",
    }
    identity = base64.urlsafe_b64encode(generator.randbytes(16)).decode().rstrip("=")
    members = {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": "gemini-3.5-flash",
        "responseId": identity,
    }
    names = list(members)
    generator.shuffle(names)  # the service's order differs from line to line
    return {name: members[name] for name in names}


def _words(generator: random.Random, count: int) -> list[str]:
    return ["".join(generator.choices(_LETTERS, k=generator.randint(2, 10))) for _ in range(count)]


def _texts(generator: random.Random, count: int = 400, characters: int = 2200) -> list[Row]:
    """Prose with paragraphs and quotation marks, one word of a hundred beyond ASCII."""
    words = [*_words(generator, 3000), *_BEYOND_ASCII * 5, *['"x"', "end.\n\n"] * 20]
    rows = []
    for _ in range(count):
        text = " ".join(generator.choices(words, k=characters // 6))[:characters]
        signature = base64.b64encode(generator.randbytes(75)).decode()
        rows.append(
            _answer(_candidates([{"text": text, "thoughtSignature": signature}], generator))
        )
    return rows


def _structured(generator: random.Random, count: int = 200, characters: int = 2000) -> list[Row]:
    """Answers that are JSON themselves, as a response schema makes them."""
    words, rows = [*_words(generator, 3000), *_BEYOND_ASCII * 5], []
    for _ in range(count):
        summary = " ".join(generator.choices(words, k=characters // 6))[:characters]
        answer = {"label": generator.choice(["positive", "negative"]), "summary": summary}
        text = json.dumps(answer, ensure_ascii=False)
        rows.append(_answer(_candidates([{"text": text}], generator)))
    return rows


def _embeddings(generator: random.Random, count: int = 60) -> list[Row]:
    rows = []
    for _ in range(count):
        values = [round(generator.gauss(0, 0.02), 9) for _ in range(3072)]
        rows.append(
            _answer({"tokenCount": str(generator.randint(1, 900)), "embedding": {"values": values}})
        )
    return rows


def _images(generator: random.Random, count: int = 6) -> list[Row]:
    rows = []
    for _ in range(count):
        picture = base64.b64encode(
            generator.randbytes(generator.randint(1_000_000, 3_000_000))
        ).decode()
        inline = {"inlineData": {"mimeType": "image/png", "data": picture}}
        rows.append(_answer(_candidates([{"text": "Here is the picture."}, inline], generator)))
    return rows


def _mixed(generator: random.Random) -> list[Row]:
    return [*_texts(generator, 300), *_embeddings(generator, 40), *_images(generator, 2)]


def _tiny(generator: random.Random) -> list[Row]:
    return [
        _answer({"candidates": [{"content": {"parts": [{"text": word}]}}]})
        for word in _words(generator, 300)
    ]


def _nasty(generator: random.Random) -> list[Row]:
    """Seven plain texts for each three lines that break naive readers."""
    odd = [*_odd_answers(generator), *_failures(), *_broken_lines()]
    return [*_texts(generator, len(odd) * 7 // 3), *odd]


def _odd_answers(generator: random.Random) -> list[Row]:
    text, cut = (
        _candidates([{"text": "Yes"}], generator),
        _candidates([{"text": "Y"}], generator, "MAX_TOKENS"),
    )
    separator = _candidates([{"text": "a\u2028b\u0085c\x0cd"}], generator)
    thoughts = _candidates([{"text": "plan", "thought": True}, {"text": "Yes"}], generator)
    lone = _candidates([{"text": "half of a pair: \ud83d"}], generator)
    twice = text | {"candidates": text["candidates"] * 2}
    surrogate = json.dumps({"response": text, "key": f"{_MARK}-\ud83d"})
    return [
        *map(_answer, (separator, thoughts, twice)),
        Row.of({"key": _MARK, "response": text}),
        Row.of({"response": text, "metadata": {"key": _MARK}}),
        Row.of({"response": text, "tags": [], "n": 12345678901234567890, "key": _MARK}),
        Row.raw(surrogate, "ok"),
        Row.raw(json.dumps({"response": lone, "key": _MARK}), "ok"),
        Row.raw(json.dumps({"response": text | {"avgLogprobs": float("nan")}, "key": _MARK}), "ok"),
        Row.raw(json.dumps({"response": text, "key": _MARK}) + "\r", "ok"),
        Row.of({"response": cut, "key": _MARK}, "truncated"),
        Row.of({"response": text}, "unkeyed"),
        Row.raw(json.dumps({"response": text, "key": FIRST_KEY.decode()}), "duplicate"),
    ]


def _failures() -> list[Row]:
    error = {"code": 8, "message": "The quota is used up.", "details": [{"@type": "x", "n": 1}]}
    return [
        Row.of({"error": error, "key": _MARK}, "error"),
        Row.of({"error": {"code": 3, "message": "no"}, "key": _MARK}, "error"),
        Row.of({"status": {"code": 13, "message": "broken"}, "key": _MARK}, "error"),
        Row.of(
            {"response": {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, "key": _MARK},
            "blocked",
        ),
        Row.of(
            {"response": {"candidates": [{"finishReason": "SAFETY", "index": 0}]}, "key": _MARK},
            "blocked",
        ),
        Row.of(
            {"response": {"candidates": [{"finishReason": "MAX_TOKENS"}]}, "key": _MARK},
            "truncated",
        ),
        Row.of({"response": {"candidates": [{"finishReason": "STOP"}]}, "key": _MARK}, "empty"),
        Row.of({"key": _MARK}, "malformed"),
    ]


def _broken_lines() -> list[Row]:
    return [
        Row((b'{"response":{"candidates":[{"content":{"parts":[{"text":"cut',), "malformed"),
        Row((b"not JSON at all",), "malformed"),
        Row((b"[1,2]",), "malformed"),
        Row(
            (
                b'{"response":{"candidates":[{"content":{"parts":[{"text":"\xff\xc3"}]}}]},"key":"',
                b'"}',
            ),
            "malformed",
        ),
        Row((b'{"response":' + b"[" * 5000 + b"]" * 5000 + b',"key":"', b'"}'), "malformed"),
        Row((b"",), None),
        Row((b"  \r",), None),
    ]


POOLS: dict[str, Callable[[random.Random], list[Row]]] = {
    "text": _texts,
    "structured": _structured,
    "embeddings": _embeddings,
    "images": _images,
    "mixed": _mixed,
    "tiny": _tiny,
    "nasty": _nasty,
}
