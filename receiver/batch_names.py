"""What the inbox calls a batch: `batches/<id>`, after the name of its project and a slash where the project has one.

So every project has entries of its own: an event at one project's endpoint never touches another's.
Pure.
"""

import re

from receiver.errors import EventError

PROJECT = re.compile(r"[a-z0-9][a-z0-9_]{0,39}")
BATCH_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
INBOX_NAME = re.compile(rf"(?:{PROJECT.pattern}/)?batches/{BATCH_ID.pattern}")


def inbox_name(project: str, batch: str) -> str:
    """The name of a project's batch; the project without a name is "".

    >>> inbox_name("acme", "batches/x1"), inbox_name("", "batches/x1")
    ('acme/batches/x1', 'batches/x1')
    """
    return f"{project}/{batch}" if project else batch


def split_inbox_name(name: str) -> tuple[str, str]:
    """Undo `inbox_name`: the project, and Gemini's own name of the batch.

    >>> split_inbox_name("acme/batches/x1"), split_inbox_name("batches/x1")
    (('acme', 'batches/x1'), ('', 'batches/x1'))
    """
    before, words, batch_id = name.rpartition("batches/")
    return before.removesuffix("/"), words + batch_id


def parse_inbox_name(text: str, project: str = "") -> str:
    """A name as a person writes it, with or without its project and `batches/`; `project` is the one it has else.

    Raises EventError when it is none.

    >>> parse_inbox_name("acme/x1"), parse_inbox_name("x1"), parse_inbox_name("batches/x1", "acme")
    ('acme/batches/x1', 'batches/x1', 'acme/batches/x1')
    """
    before, _, rest = text.partition("/")
    if PROJECT.fullmatch(before) and rest and (before != "batches" or "/" in rest):
        return inbox_name(before, normalise_batch_name(rest))
    return inbox_name(project, normalise_batch_name(text))


def normalise_batch_name(text: str) -> str:
    """Bring a batch's name to its one form; raises EventError when it is none.

    >>> [normalise_batch_name(text) for text in ("batches/x1", "x1", "batch_x1")]
    ['batches/x1', 'batches/x1', 'batches/x1']
    """
    batch_id = text.removeprefix("batches/")
    if batch_id == text:
        batch_id = text.removeprefix("batch_")
    if not BATCH_ID.fullmatch(batch_id):
        raise EventError("the batch's name is not batches/ and 1 to 128 letters, digits, _ or -")
    return f"batches/{batch_id}"
