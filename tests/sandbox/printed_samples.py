"""The samples that Gemini's Batch API guide prints, read from a copy of the guide.

The copy is not part of this repository: client_programs/README.md says where it is looked for.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import pytest

VARIABLE = "BATCH_API_GUIDE"
DEFAULT_COPY = Path(__file__).parents[3] / "shared" / "batch-api-guide.txt"
HEADINGS = {"Python": "python", "JavaScript": "javascript", "REST": "rest"}  # in the guide: here
DIGEST_LENGTH = 12
INDENT = "    "


class Printed(NamedTuple):
    digest: str  # the start of the SHA-256 of the sample's lines, each with its line feed
    depths: str = ""  # a digit per line: how deep Python's blocks are; empty where there are none


PRINTED = {
    "python/inline": Printed("db1b70fb545c"),
    "python/upload": Printed("813e30b86b52", "000000111112000000"),
    "python/create_from_file": Printed("cf4014655bd6"),
    "python/embeddings": Printed("c4302019a594"),
    "python/system_instruction": Printed("2c2a4f4ad00a"),
    "python/tools": Printed("f61a1d67fabb"),
    "python/structured_output": Printed(
        "c9bcf038d922",
        "000011000000000000000000000000000000000001121100011122",
    ),
    "python/poll": Printed("ac82418da28c", "0000000000000000111001"),
    "python/webhook": Printed("a131b74df58d"),
    "python/results": Printed("dfca4014be6a", "00000000112222222111222334454534120112"),
    "python/list": Printed("02c8058043e4", "00001"),
    "python/cancel": Printed("1a7ee75fed77"),
    "python/delete": Printed("ad31d51ace34"),
    "python/images": Printed(
        "8e3c9c124374",
        "0000000000111112000000000000000000000000011100011111112334565663401",
    ),
    "javascript/inline": Printed("2e1fe1d90ec9"),
    "javascript/upload": Printed("078ff9de1713"),
    "javascript/create_from_file": Printed("d7e473e8d7e6"),
    "javascript/embeddings": Printed("bedb96f0fd80"),
    "javascript/system_instruction": Printed("1e28328a928a"),
    "javascript/tools": Printed("8a9804ae1d56"),
    "javascript/structured_output": Printed("85b68b7da57b"),
    "javascript/poll": Printed("936ade8f2e34"),
    "javascript/webhook": Printed("80b09de0b018"),
    "javascript/results": Printed("08e4b91d1e48"),
    "javascript/list": Printed("3cfa8a78c290"),
    "javascript/cancel": Printed("3ea195607480"),
    "javascript/delete": Printed("a09c5163215d"),
    "javascript/images": Printed("1750b8fd4d8d"),
    "rest/inline": Printed("50ddc95139d5"),
    "rest/upload": Printed("9d3355a131b7"),
    "rest/create_from_file": Printed("979263173eb3"),
    "rest/webhook": Printed("1c49c479ff4a"),
    "rest/results": Printed("996ecf1414de"),
    "rest/list": Printed("82aab399174e"),
    "rest/cancel": Printed("80936f68ef0f"),
    "rest/delete": Printed("bf634e0b5390"),
    "rest/images": Printed("366be9d1750d"),
}  # of each language in the guide's order


def sample(name: str) -> str:
    """A sample as printed, by its name in PRINTED; skips the test where no guide is at hand."""
    return find_sample(guide_text(), name)


def guide_text() -> str:
    copy = Path(os.environ.get(VARIABLE) or DEFAULT_COPY)
    if not copy.is_file():
        pytest.skip(f"no copy of Gemini's guide at {copy}: set {VARIABLE} to the path of one")
    return copy.read_text(encoding="utf-8")


def find_sample(guide: str, name: str) -> str:
    """The sample with the indentation of its blocks, which the copy has lost.

    Raises `LookupError` with what to do where the guide prints it no longer, or in other words.
    """
    printed = PRINTED[name]
    language = name.partition("/")[0]
    blocks = [code for found, code in code_blocks(guide) if found == language]
    code = next((block for block in blocks if digest(block) == printed.digest), None)
    if code is None:
        raise LookupError(_lost(name, blocks))
    lines = code.splitlines(keepends=True)
    depths = printed.depths or "0" * len(lines)
    return "".join(INDENT * int(depth) + line for depth, line in zip(depths, lines, strict=True))


def _lost(name: str, blocks: list[str]) -> str:
    siblings = [other for other in PRINTED if other.partition("/")[0] == name.partition("/")[0]]
    place = siblings.index(name)
    now = f"has the digest {digest(blocks[place])}" if place < len(blocks) else "is not there"
    return (
        f"the guide no longer prints the sample {name} as it did. It was number {place + 1} of "
        f"{len(siblings)} in its language; of {len(blocks)} now, the one at that place {now}. "
        "Compare the two, put the new digest (for Python also the depths) into PRINTED, "
        "and check whether the mistakes named in client_programs/README.md are still there."
    )


def code_blocks(guide: str) -> list[tuple[str, str]]:
    """Language and text of each code block, from its heading to the next one or to prose."""
    blocks: list[tuple[str, list[str]]] = []
    inside = False
    for line in guide.splitlines():
        if line in HEADINGS:
            blocks.append((HEADINGS[line], []))
            inside = True
        elif _is_prose(line):
            inside = False
        elif inside:
            blocks[-1][1].append(f"{line}\n")
    return [(language, "".join(lines)) for language, lines in blocks]


def _is_prose(line: str) -> bool:
    """The copy's prose is Arabic, and no sample has an Arabic letter."""
    return any("\u0600" <= letter <= "\u06ff" for letter in line)


def digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()[:DIGEST_LENGTH]


def made_right(text: str, *changes: tuple[str, str]) -> str:
    """The sample with its mistakes corrected, each of which stands in it once."""
    for wrong, right in changes:
        assert text.count(wrong) == 1, wrong
        text = text.replace(wrong, right)
    return text
