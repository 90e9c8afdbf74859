"""A bucket that can't be used is said in words, with what to do about it and without a secret."""

import os
import re
import secrets
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from receiver.errors import StorageError
from receiver.storage import Storage, open_storage
from tests.storage_servers import PASSWORD, Bucket

CALLS: dict[str, Callable[[Storage], object]] = {
    "put_many": lambda storage: storage.put_many([("b/one", b"1")]),
    "put_files": lambda storage: storage.put_files([("b/one", Path(__file__))]),
    "create": lambda storage: storage.create("b/one", b"1"),
    "read": lambda storage: storage.read("b/one"),
    "read_to_file": lambda storage: storage.read_to_file("b/one", Path(os.devnull)),
    "read_chunks": lambda storage: storage.read_chunks("b/one"),
    "read_range": lambda storage: storage.read_range("b/one", 0, 1),
    "size_of": lambda storage: storage.size_of("b/one"),
    "exists": lambda storage: storage.exists("b/one"),
    "list_names": lambda storage: storage.list_names("b"),
    "delete": lambda storage: storage.delete("b/one"),
}


def trouble_of(url: str, call: str) -> str:
    with pytest.raises(StorageError) as caught:
        CALLS[call](open_storage(url))
    told = "".join(traceback.format_exception(caught.value))
    assert not re.search(f"canary|{PASSWORD}", told)
    said = str(caught.value)
    assert "\n" not in said
    assert "<" not in said
    return said


@pytest.fixture(params=["seaweedfs", "azurite"])
def strict_bucket(request: pytest.FixtureRequest) -> Bucket:
    """Of a server that looks at credentials."""
    bucket: Bucket = request.getfixturevalue(request.param)
    return bucket


@pytest.mark.parametrize("call", CALLS)
def test_refused_credentials_are_said(
    strict_bucket: Bucket, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict_bucket.enter(monkeypatch, **strict_bucket.wrong)
    said = trouble_of(strict_bucket.url, call)
    assert "403 Forbidden" in said
    assert next(iter(strict_bucket.wrong)) in said
    assert "policy" in said


@pytest.mark.parametrize(
    "call", [call for call in CALLS if call != "delete"]
)  # where there is nothing to delete
def test_missing_bucket_is_said(
    strict_bucket: Bucket, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above all, it is not taken for a bucket in which nothing is stored."""
    strict_bucket.enter(monkeypatch)
    said = trouble_of(strict_bucket.missing, call)
    assert "create the bucket that STORAGE_URL names" in said
    assert "NoSuchBucket" in said or "ContainerNotFound" in said


def test_unreachable_server_is_said(strict_bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    strict_bucket.enter(monkeypatch, **strict_bucket.unreachable)
    said = trouble_of(strict_bucket.url, "exists")
    assert "did not find b/one" in said
    assert "127.0.0.1:9" in said
    assert "a worker tries again by itself, a command must be run again" in said


def test_endpoint_without_tls_is_said(
    strict_bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict_bucket.enter(monkeypatch)
    variable = next(name for name in strict_bucket.environment if name.endswith("_ALLOW_HTTP"))
    monkeypatch.delenv(variable)
    assert trouble_of(strict_bucket.url, "read").endswith(
        f"an endpoint without TLS needs {variable}=true"
    )


@pytest.mark.parametrize(
    ("url", "environment", "hint"),
    [
        ("s3://outputs", {"AWS_ACCESS_KEY_ID": "alone"}, "AWS_SECRET_ACCESS_KEY"),
        ("az://outputs", {}, "AZURE_STORAGE_ACCOUNT_NAME"),
        (
            "az://outputs",
            {"AZURE_STORAGE_ACCOUNT_NAME": "a", "AZURE_STORAGE_ACCOUNT_KEY": "canary-!"},
            "Access Key",
        ),
        ("gs://outputs", {"GOOGLE_APPLICATION_CREDENTIALS": "/absent.json"}, "/absent.json"),
        (
            "gs://outputs",
            {"GOOGLE_SERVICE_ACCOUNT_KEY": '{"private_key": "canary"}'},
            "GOOGLE_APPLICATION_CREDENTIALS",
        ),
        ("ftp://outputs", {}, "STORAGE_URL"),
    ],
)
def test_unusable_settings_are_said(
    url: str, environment: dict[str, str], hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    said = trouble_of(url, "read")
    assert said.startswith("STORAGE_URL can't be used: ")
    assert hint in said


def test_absent_credentials_are_said(seaweedfs: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any, it asks the machine that it runs on, as clouds have it."""
    seaweedfs.enter(monkeypatch, AWS_METADATA_ENDPOINT="http://127.0.0.1:9")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    said = trouble_of(f"{seaweedfs.url}/{secrets.token_hex(8)}", "read")
    assert said.endswith(
        "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )
