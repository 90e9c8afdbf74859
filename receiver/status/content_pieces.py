"""What the parts of an answer or a request show, in their order and bounded. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from receiver.status.shown_json import indent_text, show_value
from receiver.tolerant_json import as_object, as_text

MAX_CHARACTERS = 200_000  # of a request, or of an answer
MAX_PIECES = 300
MAX_PICTURES = 20  # the page loads so many; each one is read out of the whole line
Kind = Literal["text", "json", "thoughts", "picture", "file", "call", "code", "output", "other"]
# Types that a browser gets as pictures; it runs nothing in these.
PICTURES: Mapping[str, str] = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_SILENT = frozenset({"text", "thought", "thoughtSignature"})
_match_data_url = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,", re.ASCII).match


@dataclass(frozen=True)
class Media:
    """A picture or another file in a line."""

    mime_type: str  # as the line says
    data: str  # base64

    @property
    def picture_type(self) -> str:
        """The type that a browser is told; empty for what is no picture that it may show."""
        kind = self.mime_type.partition(";")[0].strip().lower()
        return kind if kind in PICTURES else ""

    @property
    def size_bytes(self) -> int:
        """About."""
        return len(self.data) * 3 // 4


@dataclass
class Piece:
    """One thing that is shown."""

    kind: Kind
    text: str = ""
    title: str = ""  # the name of a call, the type of a file, the kind of another part
    number: int = 0  # of a picture or a file among those of its side, from 1
    size_bytes: int = 0  # of these
    left: int = 0  # characters that are not shown


@dataclass
class Pieces:
    """Gathers the pieces of one side, which is an answer or a request."""

    characters_left: int = MAX_CHARACTERS
    pieces_left: int = MAX_PIECES
    media: list[Media] = field(default_factory=list)

    def read(self, parts: list[Any]) -> list[Piece]:
        """The pieces of some parts; texts in a row are one."""
        pieces = list[Piece]()
        for piece in self._read_all(parts):
            last = pieces[-1] if pieces else None
            if last is not None and last.kind == piece.kind and piece.kind in {"text", "thoughts"}:
                last.text += piece.text
            elif self.pieces_left:
                self.pieces_left -= 1
                pieces.append(piece)
        for piece in pieces:
            self._fit(piece)
        return pieces

    def show(self, value: object) -> Piece:
        """Any decoded value as JSON."""
        piece = Piece("other", show_value(value))
        self._fit(piece)
        return piece

    def _fit(self, piece: Piece) -> None:
        if piece.kind == "text" and len(piece.text) <= self.characters_left:
            indented = indent_text(piece.text)
            if indented is not None:
                piece.kind, piece.text = "json", indented
        room = self.characters_left
        piece.left = max(0, len(piece.text) - room)
        piece.text = piece.text[:room]
        self.characters_left -= len(piece.text)

    def _read_all(self, parts: list[Any]) -> Iterator[Piece]:
        for part in parts:
            if isinstance(part, dict):
                yield from self._read(part)
            elif isinstance(part, str):
                yield Piece("text", part)
            else:
                yield Piece("other", show_value(part))

    def _read(self, part: dict[str, Any]) -> Iterator[Piece]:
        text = as_text(part.get("text"))
        if text:
            yield Piece("thoughts" if part.get("thought") is True else "text", text)
        for name, value in part.items():
            if name not in _SILENT and value is not None:
                yield self._read_member(name, value)

    def _read_member(self, name: str, value: object) -> Piece:
        member = as_object(value)
        match name:
            case "inlineData":
                return self._add_media(
                    Media(as_text(member.get("mimeType")) or "", as_text(member.get("data")) or "")
                )
            case "imageUrl" if found := _read_data_url(member):
                return self._add_media(found)
            case "functionCall":
                call = show_value(member.get("args"))
                return Piece("call", call, as_text(member.get("name")) or "")
            case "executableCode" if isinstance(code := member.get("code"), str):
                return Piece("code", code, as_text(member.get("language")) or "")
            case "codeExecutionResult" if isinstance(output := member.get("output"), str):
                return Piece("output", output, as_text(member.get("outcome")) or "")
            case _:
                return Piece("other", show_value(value), name)

    def _add_media(self, media: Media) -> Piece:
        self.media.append(media)
        is_shown = media.picture_type and len(self.media) <= MAX_PICTURES
        return Piece(
            "picture" if is_shown else "file",
            title=media.mime_type,
            number=len(self.media),
            size_bytes=media.size_bytes,
        )


def _read_data_url(member: dict[str, Any]) -> Media | None:
    """A picture in OpenAI's form."""
    url = as_text(member.get("url")) or ""
    found = _match_data_url(url)
    return Media(found[1], url[found.end() :]) if found else None
