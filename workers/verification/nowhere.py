"""A storage that keeps nothing: for what is only made to be compared."""

from collections.abc import Iterator, Sequence
from pathlib import Path


class NullStorage:
    """Takes every object, and has none."""

    def put_many(self, objects: Sequence[tuple[str, bytes]]) -> None: ...

    def put_files(self, objects: Sequence[tuple[str, Path]]) -> None: ...

    def create(self, name: str, data: bytes) -> None: ...

    def read(self, name: str) -> bytes | None:  # noqa: ARG002 - the protocol's
        return None

    def read_to_file(self, name: str, path: Path) -> bool:  # noqa: ARG002 - the protocol's
        return False

    def read_chunks(self, name: str) -> Iterator[bytes] | None:  # noqa: ARG002 - the protocol's
        return None

    def exists(self, name: str) -> bool:  # noqa: ARG002 - the protocol's
        return False

    def list_names(self, folder: str) -> list[str]:  # noqa: ARG002 - the protocol's
        return []

    def iter_names(self, folder: str) -> Iterator[str]:  # noqa: ARG002 - the protocol's
        return iter(())

    def delete(self, name: str) -> None: ...

    def tells_case_apart(self) -> bool:
        return True

    def scratch_near(self) -> Path | None:
        return None
