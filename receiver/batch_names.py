"""The forms of the names of batches and submissions. Pure.

Gemini calls a batch `batches/<id>`. The inbox puts the name of its project and a slash before
that, where the project has a name: so every project has entries of its own, and an event at one
project's endpoint never touches another's.

Of a create call with inline requests Gemini shows only the display name again, and two inputs may
have the same. So a tag that identifies the call is appended to the user's display name when a batch
is created, and split off when Gemini's answer is read: the rest of the code never sees it.
"""

import re
import secrets
from dataclasses import dataclass

from receiver.errors import EventError

PROJECT = re.compile(r"[a-z0-9][a-z0-9_]{0,39}")
BATCH_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
GEMINI_NAME = re.compile(rf"batches/{BATCH_ID.pattern}")
INBOX_NAME = re.compile(rf"(?:{PROJECT.pattern}/)?{GEMINI_NAME.pattern}")
SUBMISSION_ID = re.compile(r"[0-9a-f]{20}")
SUBMISSION_NAME = re.compile(
    rf"(?:(?P<project>{PROJECT.pattern})/)?submissions/(?P<id>{SUBMISSION_ID.pattern})"
)
_TAGGED = re.compile(
    r"(?P<name>.*) \[gbr:(?P<tag>[0-9a-f]{20}\.[0-9]{1,6}\.[0-9a-f]{12})\]", re.DOTALL
)


@dataclass(frozen=True)
class BatchName:
    """A batch of a project. `str` gives its name in the inbox.

    >>> str(BatchName("acme", "x1")), str(BatchName("", "x1"))
    ('acme/batches/x1', 'batches/x1')
    """

    project: str  # empty for the default project
    id: str

    @classmethod
    def read(cls, name: str, project: str = "") -> "BatchName":
        """Read a name in the inbox, one of Gemini's, or an id; `project` is for those without one.

        >>> BatchName.read("acme/batches/x1"), BatchName.read("batches/x1", "acme")
        (BatchName(project='acme', id='x1'), BatchName(project='acme', id='x1'))
        """
        before, _, batch_id = name.rpartition("batches/")
        return cls(before.removesuffix("/") or project, batch_id)

    @classmethod
    def parse(cls, text: str, project: str = "") -> "BatchName":
        """Read a name as a person writes it, with or without its project and `batches/`.

        `project` is for texts without one. Raises EventError for what is no name.

        >>> [str(BatchName.parse(text)) for text in ("acme/x1", "x1", "batch_x1")]
        ['acme/batches/x1', 'batches/x1', 'batches/x1']
        """
        before, _, rest = text.partition("/")
        if PROJECT.fullmatch(before) and rest and (before != "batches" or "/" in rest):
            return cls.parse_gemini(rest, before)
        return cls.parse_gemini(text, project)

    @classmethod
    def parse_gemini(cls, text: str, project: str = "") -> "BatchName":
        """Read a name as Gemini and its events write it: `batches/<id>`, `batch_<id>` or the id.

        Raises EventError for what is no name.
        """
        batch_id = text.removeprefix("batches/")
        if batch_id == text:
            batch_id = text.removeprefix("batch_")
        if not BATCH_ID.fullmatch(batch_id):
            expected = "batches/ and 1 to 128 letters, digits, _ or -"
            raise EventError(f"the batch's name is not {expected}")
        return cls(project, batch_id)

    @property
    def gemini(self) -> str:
        """What Gemini calls it: `batches/<id>`."""
        return f"batches/{self.id}"

    @property
    def short(self) -> str:
        """The shortest form that `parse` reads whatever the project is called, for commands."""
        return str(self) if self.project else self.id

    def __str__(self) -> str:
        return f"{self.project}/{self.gemini}" if self.project else self.gemini


@dataclass(frozen=True)
class SubmissionName:
    """A submission to a project. `str` gives its name in the inbox.

    >>> str(SubmissionName("acme", "5d41402abc4b2a76b971"))
    'acme/submissions/5d41402abc4b2a76b971'
    """

    project: str  # empty for the default project
    id: str

    @classmethod
    def read(cls, name: str) -> "SubmissionName | None":
        """Undo `str`; None for what is no submission's name.

        >>> SubmissionName.read("submissions/5d41402abc4b2a76b971").project
        ''
        """
        match = SUBMISSION_NAME.fullmatch(name)
        return None if match is None else cls(match["project"] or "", match["id"])

    @classmethod
    def parse(cls, name: str) -> "SubmissionName":
        """Like `read`. Raises EventError for what is no submission's name."""
        found = cls.read(name)
        if found is None:
            raise EventError("the submission's name is not submissions/ and 20 hex digits")
        return found

    @classmethod
    def of_batch(cls, batch: BatchName, tag: str | None) -> "SubmissionName | None":
        """The submission that sent a batch, by the tag in its display name."""
        return None if tag is None else cls(batch.project, tag.partition(".")[0])

    def __str__(self) -> str:
        name = f"submissions/{self.id}"
        return f"{self.project}/{name}" if self.project else name


def new_tag(submission_id: str, part: int) -> str:
    """A tag for one call: submission, part, and a random number against repeated calls."""
    return f"{submission_id}.{part}.{secrets.token_hex(6)}"


def add_tag(name: str, tag: str) -> str:
    """The display name to send to Gemini.

    >>> add_tag("evening", "5d41402abc4b2a76b971.1.0123456789ab")
    'evening [gbr:5d41402abc4b2a76b971.1.0123456789ab]'
    """
    return f"{name} [gbr:{tag}]"


def split_tag(display_name: str | None) -> tuple[str | None, str | None]:
    """The name that the user gave and the tag, each None if missing.

    >>> split_tag("evening [gbr:5d41402abc4b2a76b971.1.0123456789ab]")
    ('evening', '5d41402abc4b2a76b971.1.0123456789ab')
    >>> split_tag("evening [stuck]")
    ('evening [stuck]', None)
    """
    match = _TAGGED.fullmatch(display_name or "")
    return (display_name, None) if match is None else (match["name"], match["tag"])
