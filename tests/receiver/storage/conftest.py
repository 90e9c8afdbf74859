import secrets
from pathlib import Path

import pytest

from receiver.storage import Storage, open_storage
from tests.storage_servers import Bucket

BUCKETS = ("own_s3", "seaweedfs", "azurite")


@pytest.fixture(params=["local", *BUCKETS])
def storage_address(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The STORAGE_URL of a storage with nothing in it; the environment has what its user sets."""
    if request.param == "local":
        return (tmp_path / "outputs").as_uri()
    bucket: Bucket = request.getfixturevalue(request.param)
    bucket.enter(monkeypatch)
    return f"{bucket.url}/{secrets.token_hex(8)}"


@pytest.fixture
def storage(storage_address: str) -> Storage:
    return open_storage(storage_address)


@pytest.fixture(params=BUCKETS)
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket of every server; the environment has what its user sets."""
    found: Bucket = request.getfixturevalue(request.param)
    found.enter(monkeypatch)
    return found
