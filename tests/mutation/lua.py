"""Mutants of a Lua script: copies with one small fault each, as a slip would make them. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*)|(?P<space>\s+)|(?P<string>'[^'\n]*'|"[^"\n]*")"""
    r"""|(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)"""
    r"""|(?P<operator>[=~<>]=|\.\.|[-+*/%<>=#(){}\[\],.;:])"""
)
FLIPS = {
    "==": "~=",
    "~=": "==",
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "+": "-",
    "-": "+",
    "and": "or",
    "or": "and",
    "true": "false",
    "false": "true",
}
CALLS = ("call", "pcall")
KEYWORDS = {"and", "elseif", "function", "if", "not", "or", "return", "while"}
# After these a name is a part of an expression or a definition: to drop it would be no Lua.
EXPECTS_VALUE = {"=", "(", ",", "..", "#", "{", "[", ".", "%", "*", "/", *KEYWORDS, *FLIPS}


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True)
class Mutant:
    """One fault in one script."""

    script: str  # "claim"
    line: int  # from 1
    before: str  # the line as it is, without indentation
    after: str  # the first line that differs, likewise; "" where the fault left nothing of it
    text: str  # of the whole script

    @property
    def change(self) -> str:
        return f"- {self.before}\n+ {self.after}"


def make_mutants(script: str, text: str) -> list[Mutant]:
    """All mutants of a script: dropped calls of Redis, and flipped or swapped tokens."""
    tokens = read_tokens(text)
    edits = [*_drop_calls(tokens), *_flip_operators(tokens), *_swap_constants(tokens)]
    return [_apply(script, text, *edit) for edit in sorted(edits)]


def read_tokens(text: str) -> list[Token]:
    """Everything but white space and comments. Raises ValueError for what is no token."""
    tokens, position = list[Token](), 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise ValueError(f"no Lua token at {text[position : position + 20]!r}")
        if match.lastgroup not in ("comment", "space"):
            tokens.append(Token(match.lastgroup, match[0], position))
        position = match.end()
    return tokens


Edit = tuple[int, int, str]  # start, end, what stands there instead


def _drop_calls(tokens: Sequence[Token]) -> Iterator[Edit]:
    """Statements that call Redis, or a function of ours, and use nothing of its answer."""
    for place, token in enumerate(tokens):
        before = tokens[place - 1].text if place else ""
        if token.kind != "name" or token.text in KEYWORDS or before in EXPECTS_VALUE:
            continue
        opening = place + (3 if token.text == "redis" else 1)
        if opening < len(tokens) and tokens[opening].text == "(":
            yield token.start, _closing(tokens, opening).end, ""


def _closing(tokens: Sequence[Token], opening: int) -> Token:
    """The parenthesis that closes the one at `opening`."""
    depth = 0
    for token in tokens[opening:]:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0:
            return token
    raise ValueError("a parenthesis is left open")


def _flip_operators(tokens: Sequence[Token]) -> Iterator[Edit]:
    for token in tokens:
        if token.kind in ("operator", "name") and token.text in FLIPS:
            yield token.start, token.end, FLIPS[token.text]
        elif token.text == "not":
            yield token.start, token.end, ""


def _swap_constants(tokens: Sequence[Token]) -> Iterator[Edit]:
    """Numbers one more, texts one letter more; the command's name in a call would only be refused."""
    for place, token in enumerate(tokens):
        if token.kind == "number":
            yield token.start, token.end, f"{token.text} + 1"
        elif token.kind == "string" and not _names_command(tokens, place):
            yield token.start, token.end, f"{token.text[:-1]}~{token.text[-1]}"


def _names_command(tokens: Sequence[Token], place: int) -> bool:
    return place > 1 and tokens[place - 1].text == "(" and tokens[place - 2].text in CALLS


def _apply(script: str, text: str, start: int, end: int, instead: str) -> Mutant:
    changed = f"{text[:start]}{instead}{text[end:]}"
    row = text.count("\n", 0, start)
    before, after = text.split("\n")[row], changed.split("\n")[row]
    return Mutant(script, row + 1, before.strip(), after.strip(), changed)
