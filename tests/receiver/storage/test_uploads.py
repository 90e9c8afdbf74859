"""Uploads in parts that fail: their parts cost money for ever unless they are taken away."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import from_url

from receiver.errors import StorageError
from receiver.storage import open_storage
from receiver.storage.object_store import PART_BYTES, PARTS_IN_FLIGHT
from tests.object_server.running import ObjectServer
from tests.storage_servers import BUCKET, Bucket, s3_client


@pytest.fixture(params=["own_s3", "seaweedfs"])
def s3_bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    bucket: Bucket = request.getfixturevalue(request.param)
    bucket.enter(monkeypatch)
    return bucket


@pytest.fixture
def folder() -> str:
    return secrets.token_hex(8)


@pytest.fixture
def count_open_uploads(
    s3_bucket: Bucket, folder: str, request: pytest.FixtureRequest
) -> Callable[[], int]:
    if "own_s3" in request.node.name:
        server: ObjectServer = request.getfixturevalue("object_server")
        return lambda: server.seen()["open_uploads"]
    client = s3_client(s3_bucket)

    def count() -> int:
        found = client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return sum(upload["Key"].startswith(folder) for upload in found)

    return count


def test_failing_file_leaves_no_parts_of_others(
    s3_bucket: Bucket, folder: str, count_open_uploads: Callable[[], int], tmp_path: Path
) -> None:
    """The fifth file's turn comes while three large ones are going up."""
    large = tmp_path / "large"
    large.write_bytes(secrets.token_bytes(3 * PART_BYTES))
    (tmp_path / "small").touch()
    files = [("b/small", tmp_path / "small"), *((f"b/{number}", large) for number in range(3))]
    with pytest.raises(StorageError, match="did not write b/small and 4 more"):
        open_storage(f"{s3_bucket.url}/{folder}").put_files(
            [*files, ("b/absent", tmp_path / "absent")]
        )
    assert count_open_uploads() == 0


def test_failed_upload_takes_its_parts_away(
    s3_bucket: Bucket, folder: str, count_open_uploads: Callable[[], int]
) -> None:
    """What obstore promises, and what we rely on."""
    seen_open: list[int] = []

    def failing_source() -> Iterator[bytes]:
        for _ in range(6):
            yield bytes(PART_BYTES)
            seen_open.append(count_open_uploads())
        raise OSError("the disk is gone")

    store = from_url(f"{s3_bucket.url}/{folder}")
    with pytest.raises(OSError, match="the disk is gone"):
        obstore.put(
            store,
            "b/large",
            failing_source(),
            chunk_size=PART_BYTES,
            max_concurrency=PARTS_IN_FLIGHT,
        )
    assert any(seen_open)
    assert count_open_uploads() == 0
