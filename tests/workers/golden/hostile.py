"""Result files that tempt a fast reader to differ from a careful one. The same bytes every time."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from tests import nasty
from workers.results.lines import MAX_LINE_BYTES

KIB = 1024
MODALITIES = ("TEXT", "IMAGE", "VIDEO", "AUDIO", "DOCUMENT")
ANSWER = (
    b'{"response":{"candidates":[{"content":{"parts":[{"text":"%s"}]},"finishReason":"STOP"}]},'
    b'"key":"%s"}'
)
# JSON that is valid, not valid, or only in the eyes of some readers; after JSONTestSuite.
VALUES = (
    b"null", b"true", b"TRUE", b"nul", b"0", b"-0", b"-", b"+1", b"01", b".5", b"1.", b"1e5",
    b"1E+400", b"1e-999", b"123456789012345678901234567890", b"0x10", b"NaN", b"Infinity",
    b"-Infinity", b"1 2", b"0.1e1", b"\xef\xbc\x91", b'""', b'"a', b'a"', b"'a'", b'"\\u0041"',
    b'"\\u00"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b'"\\x41"', b'"\\/"',
    b'"\\"', b'"\t"', b'"\x00"', b'"\x1f"', b'"\x7f"', b'"\xff"', b'"\xc3"', b'"\xc0\xaf"',
    b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xf0\x9f\x98\x80"', b'"\xe2\x80\xa8"',
    b'"\xc3\xa4"', b'"STOP"', b'"MAX_TOKENS"', b'"SAFETY"', b'"IMAGE_OTHER"', b'"12"', b'" "',
    b"[]", b"[1,]", b"[,1]", b"[1", b"1]", b"[[]]", b"[null]", b'["a"]', b"[{}]", b"{}",
    b'{"a":1,}', b'{"a":1 "b":2}', b"{a:1}", b'{"a"}', b'{"a":}', b"{1:2}", b'{"a":1,"a":2}',
    b'{"":0}', b'{"text":"more"}', b'{"text":null}', b'{"thought":true}', b'{"TEXT":1}',
    b'{"code":8,"message":"busy"}', b'{"code":"8"}', b'{"code":3.0}',
    b'{"promptTokenCount":5,"totalTokenCount":5}', b'{"promptTokenCount":-5}',
    b'{"prompt_token_count":"7"}', b'{"key":"inner"}', b" 1", b"1 ", b"\xef\xbb\xbf1", b"/*c*/1",
    b"1//c", b"#", b"", b"[" * 200 + b"]" * 200, b'{"a":' * 1100 + b"1" + b"}" * 1100,
)  # fmt: skip
# Where such a value stands: `%v` is the value, `%n` a number, `%t` and `%c` are whole.
WRAPPINGS = (
    b"%v",
    b'{"response":%v,"key":"g0-%n"}',
    b'{"response":{"candidates":[{"content":{"parts":[{"text":%v}]}}]},"key":"g1-%n"}',
    b'{"response":{"candidates":[%c],"other":%v},"key":"g2-%n"}',
    b'{"response":{"candidates":[%c,%v]},"key":"g3-%n"}',
    b'{"response":{"candidates":[{"content":{"parts":[{"text":"x"},%v]}}]},"key":"g3-%n"}',
    b'{"response":{"candidates":[{"content":%t,"finishReason":%v}]},"key":"g4-%n"}',
    b'{"response":{"candidates":[%c],"usageMetadata":%v},"key":"g5-%n"}',
    b'{"response":{"candidates":[%c],"usageMetadata":{"promptTokenCount":%v}},"key":"g6-%n"}',
    b'{"error":%v,"response":{"candidates":[%c]},"key":"g7-%n"}',
    b'{"error":%v,"key":"g8-%n"}',
    b'{"response":{"candidates":[{"content":{"parts":[{"text":"x","thought":%v}]}}]},"key":"%n"}',
    b'{"response":{"candidates":[%c]},"key":%v}',
    b'{"key":%v,"key":"g10-%n","response":{"candidates":[%c]}}',
    b'{"response":{"status_code":%v,"body":{"choices":[]}},"custom_id":"g11-%n"}',
    b'{"response":{"body":{"choices":[{"message":{"content":%v}}]}},"custom_id":"g11-%n"}',
    b'{"response":{"status_code":200,"body":%v},"custom_id":"g12-%n","error":null}',
    b'{"response":{"embedding":{"values":[%v]}},"key":"g13-%n"}',
    b'{"metadata":{"key":%v},"response":{"candidates":[%c]}}',
)
TEXT = b'{"parts":[{"text":"x"}]}'
CANDIDATE = b'{"content":%s}' % TEXT
# What is put into a line that was whole.
SPLINTERS = (
    b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\\u", b"\\ud800", b"null", b"1e999", b"NaN",
    b"\xff", b"\xc3", b"\xe2\x80", b"\x00", b"\t", b"\r", b'"key":"g1-1"', b'"error":null,',
    b'"thought":true,', b'"text":"",', b"-", b"0", b".5", b"\n", b" ", b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
)  # fmt: skip


def wrapped_values() -> bytes:
    pairs = [(wrapping, value) for wrapping in WRAPPINGS for value in VALUES]
    return b"\n".join(
        wrapping.replace(b"%c", CANDIDATE)
        .replace(b"%t", TEXT)
        .replace(b"%v", value)
        .replace(b"%n", b"%d" % number)
        for number, (wrapping, value) in enumerate(pairs)
    )


def mutated(data: bytes, seed: int) -> bytes:
    """Half of the lines spoiled, mostly around their structure."""
    dice, lines = Random(seed), data.split(b"\n")
    for at, line in enumerate(lines):
        if line and dice.random() < 0.5:
            lines[at] = _spoil(dice, bytearray(line))
    return b"\n".join(lines)


def _spoil(dice: Random, line: bytearray) -> bytes:
    for _ in range(dice.randint(1, 3)):
        structure = [at for at, byte in enumerate(line) if byte in b'{}[]:,"\\'] or [0]
        spot = dice.randrange(len(line) + 1) if dice.random() < 0.4 else dice.choice(structure)
        match dice.randrange(3):
            case 0:
                line[spot:spot] = dice.choice(SPLINTERS)
            case 1:
                del line[spot : spot + dice.randint(1, 4)]
            case _:
                line[spot : spot + 1] = dice.choice(SPLINTERS)
    return bytes(line)


def repeated_keys() -> bytes:
    """Keys that come again as answers, failures and both, short ones and long ones."""
    long = "a-key-that-is-longer-than-thirty-one-characters-ä-"

    def answers(text: bytes, start: str, numbers: range) -> list[bytes]:
        return [ANSWER % (text, f"g1-{start}{number}".encode()) for number in numbers]

    lines = [
        *answers(b"first", "", range(150)),
        *answers(b"first", long, range(150)),
        *(nasty.failure(f"g1-{number}", 8) for number in range(100, 200)),
        *answers(b"again", long, range(100, 200)),
        *answers(b"again", "", range(100, 200)),
        *(nasty.answer(f"g1-{number}", reason="MAX_TOKENS") for number in range(180, 220)),
        *(nasty.answer(f"g1-{number}") for number in range(190, 230)),
        *(b'{"key": "g1-%d", "broken' % number for number in range(190, 240)),
    ]
    return b"\n".join([*lines, b""])


def many_keys() -> bytes:
    """Tens of thousands of keys, some of which come again far away, are failures or malformed."""
    dice, lines = Random(1), []
    for line in range(40_000):
        number = dice.choices((line, dice.randint(0, 40_000)), (20, 1))[0]
        key = f"g{number * 7919 % 1_000}-{number}{dice.choices(('', 'x' * 40), (20, 1))[0]}"
        kind = dice.choices(("answer", "failure", "malformed"), (40, 1, 1))[0]
        if kind == "answer":
            lines.append(ANSWER % (b"t" * dice.randint(1, 60), key.encode()))
        elif kind == "failure":
            lines.append(nasty.failure(key, 8))
        else:
            lines.append(b'{"key":"%s","response":1}' % key.encode())
    return b"\n".join([*lines, b""])


def usages() -> bytes:
    """Priced lines: long prompts and short ones, cached ones, tools, thoughts and all modalities."""
    dice, lines = Random(1), []
    for number in range(400):
        parts = {name: dice.randint(1, 150_000) for name in dice.sample(MODALITIES, 2)}
        prompt, answer, thoughts = sum(parts.values()), dice.randint(1, 900), dice.randint(0, 90)
        cached = dice.choice((0, min(parts.values())))
        usage: dict[str, Any] = {
            "promptTokenCount": prompt,
            "candidatesTokenCount": answer,
            "thoughtsTokenCount": thoughts,
            "totalTokenCount": prompt + answer + thoughts,
            "promptTokensDetails": _details(parts),
        }
        if cached:
            usage |= {"cachedContentTokenCount": cached}
            usage |= {"cacheTokensDetails": _details({min(parts, key=parts.__getitem__): cached})}
        if number % 7 == 0:
            usage["totalTokenCount"] += 11
            usage["toolUsePromptTokenCount"] = 11
            usage["toolUsePromptTokensDetails"] = _details({"TEXT": 11})
        row = json.loads(nasty.answer(f"g1-{number}"))
        row["response"]["usageMetadata"] = usage
        lines.append(json.dumps(row).encode())
    return b"\n".join(lines)


def _details(parts: dict[str, int]) -> list[dict[str, object]]:
    return [{"modality": name, "tokenCount": count} for name, count in parts.items()]


def blank_runs(text: bytes) -> bytes:
    """White space of all kinds and lengths between lines."""
    lines = text.split(b"\n")[:60]
    runs = [
        b"",
        b"\n" * 30,
        b"\n" * 31,
        b" \n" * 5000,
        b"\t\r\n" * 3000,
        b" " * 70_000,
        b"\n" * 200_000,
    ]
    runs += [b" " * 40 + b"\n", b"\xc2\xa0", b"\x0b\x0c\n", b"\x00\n", b"\xe2\x80\xa8"]
    return b"\n".join(
        [runs[-2], *(run + b"\n" + line for run, line in zip(runs * 5, lines, strict=True))]
    )


def around_edges(block_bytes: int) -> bytes:
    """Lines that end a little before, at and after the end of a block."""
    lines: list[bytes] = []
    end = 0
    for number, beyond in enumerate((-2, -1, 0, 1, 2)):
        end += block_bytes
        written = sum(len(line) + 1 for line in lines)
        empty = ANSWER % (b"", b"g1-%d" % number)
        lines.append(
            empty.replace(b'""', b'"%s"' % (b"y" * (end + beyond - written - len(empty))), 1)
        )
    return b"\n".join([*lines, ANSWER % (b"last", b"g1-last"), b""])


def oversize_chunks() -> Iterator[bytes]:
    """A line as long as a line may be, one that is a byte longer, and one that a cut leaves."""
    start, end = (ANSWER % (b"|", b"g2-%d" % 7)).split(b"|")
    yield ANSWER % (b"before", b"g1-1") + b"\n"
    for beyond in (0, 1):
        yield start
        left = MAX_LINE_BYTES + beyond - len(start) - len(end)
        piece = b"z" * (1000 * KIB)
        yield from (piece[:size] for size in _sizes(left, len(piece)))
        yield end + b"\n"
    yield ANSWER % (b"after", b"g1-2") + b"\n" + ANSWER[:70] % b"cut"


def _sizes(total: int, size: int) -> Iterator[int]:
    yield from [size] * (total // size)
    yield total % size


def other_names(data: bytes) -> bytes:
    """The key where other tools write it."""
    rows = (json.loads(line) for line in data.splitlines() if line.strip())
    return b"\n".join(json.dumps({"id": row.pop("key", None), **row}).encode() for row in rows)
