from pathlib import Path

import pytest

from receiver.storage import describe_location


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
def test_location_is_for_people(url: str, name: str, place: str) -> None:
    assert describe_location(url, name) == place


def test_relative_location_is_shown_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert describe_location("file:outputs", "abc") == str(tmp_path / "outputs" / "abc")
