from pathlib import Path

import pytest

from receiver.settings.locations import describe_redis, describe_storage


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("rediss://default:secret@a.example:1/0?password=secret", "rediss://a.example:1/0"),
        ("redis://:p@ss@[::1]:6379", "redis://[::1]:6379"),
        ("unix://user:secret@/run/redis.sock?db=1", "unix:///run/redis.sock"),
    ],
)
def test_redis_is_shown_without_its_password(url: str, shown: str) -> None:
    assert describe_redis(url) == shown


def test_folder_is_shown_with_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert describe_storage("file:out%20puts") == str(tmp_path / "out puts")


def test_bucket_is_shown_without_credentials() -> None:
    assert describe_storage("s3://user:secret@bucket/a/b?token=x#y") == "s3://bucket/a/b"


@pytest.mark.parametrize(
    ("url", "name", "place"),
    [
        ("file:/data/out%20puts", "", "/data/out puts"),
        ("file:///data", "abc/_manifest.json", "/data/abc/_manifest.json"),
        ("s3://bucket", "", "s3://bucket"),
        ("s3://bucket/prefix/", "abc", "s3://bucket/prefix/abc"),
        ("az://user:secret@container/prefix?token=secret", "abc", "az://container/prefix/abc"),
    ],
)
def test_place_below_the_storage_is_shown(url: str, name: str, place: str) -> None:
    assert describe_storage(url, name) == place
