"""What a probe makes at Gemini, so that all of it is deleted at the end, whatever happens."""

import re
from collections.abc import Iterator
from typing import Any

from receiver.errors import GeminiError
from receiver.probe.recorder import Call, Recorder
from receiver.tolerant_json import as_list, as_object

_BATCH, _FILE = re.compile(r"batches/[A-Za-z0-9_-]+"), re.compile(r"files/[A-Za-z0-9_-]+")


class Resources:
    """The batches and files of one probe, known by their names or by its own display name."""

    def __init__(self, recorder: Recorder, display_name: str) -> None:
        """`display_name` is this probe's alone."""
        self._recorder, self.display_name = recorder, display_name
        self._names: dict[str, str] = {}  # and what each is called in the report
        self._ended: set[str] = set()

    def add(self, name: str, label: str) -> None:
        self._names[name] = label

    def note_end(self, name: str) -> None:
        """A batch has ended, so it need not be stopped before it is deleted."""
        self._ended.add(name)

    def delete_all(self) -> list[str]:
        """Delete everything. Gives what is left: names, or how to find it."""
        left = []
        try:
            for name in self._strays():
                self._names.setdefault(name, "lost")
        except GeminiError as error:
            left.append(f"perhaps what is called {self.display_name!r} ({error})")
        for name, label in list(self._names.items()):
            if self._delete(name, label):
                del self._names[name]
            else:
                left.append(name)
        return left

    def names(self) -> list[str]:
        """What is known and not deleted."""
        return list(self._names)

    def _delete(self, name: str, label: str) -> bool:
        path = f"/{self._recorder.version}/{name}"
        kind = "batch" if _BATCH.fullmatch(name) else "file"
        shown = f"/{self._recorder.version}/{name.partition('/')[0]}/<id>"
        try:
            if kind == "batch" and name not in self._ended:  # a deleted one may run on, and cost
                stop = Call(f"stop batch: {label}", "POST", f"{path}:cancel", f"{shown}:cancel")
                self._recorder.send(stop)
            answer = self._recorder.send(Call(f"delete {kind}: {label}", "DELETE", path, shown))
        except GeminiError:
            return False
        gone = 404
        return answer.is_success or answer.status == gone

    def _strays(self) -> Iterator[str]:
        """Those whose creation had no answer. They are new, and so on the first page."""
        for kind, member, pattern in (
            ("batches", "operations", _BATCH),
            ("files", "files", _FILE),
        ):
            path = f"/{self._recorder.version}/{kind}?pageSize=50"
            answer = self._recorder.send(Call(f"list {kind}", "GET", path, path), record=False)
            if not answer.is_success:
                raise GeminiError(f"Gemini did not list its {kind}: {answer.said()}")
            for one in map(as_object, as_list(answer.json().get(member))):
                name = one.get("name")
                if isinstance(name, str) and pattern.fullmatch(name) and self._is_ours(one):
                    yield name

    def _is_ours(self, one: dict[str, Any]) -> bool:
        metadata = one.get("metadata")
        holder = metadata if isinstance(metadata, dict) else one
        return bool(holder.get("displayName") == self.display_name)
