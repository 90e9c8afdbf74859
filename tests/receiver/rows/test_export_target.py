"""Where `--export` may point, and that a table arrives there whole."""

import doctest
from pathlib import Path

import pytest

from receiver.errors import ExportError, StorageError
from receiver.rows import export_target
from receiver.rows.export_target import ExportTarget
from receiver.storage import open_storage
from tests.storage_servers import Bucket


def test_paths_become_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("out/a #1.parquet", f"{tmp_path}/out/a #1.parquet"):
        target = ExportTarget.parse(text)
        assert target.form == "parquet"
        assert target.url == (tmp_path / "out" / "a #1.parquet").as_uri()
        assert str(target) == f"{tmp_path}/out/a #1.parquet"
        assert ExportTarget.parse(target.url) == target
    assert str(ExportTarget.parse("gs://bucket/a/b.TSV")) == "gs://bucket/a/b.TSV"
    assert doctest.testmod(export_target).failed == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("answers.txt", "names no table: it ends with one of .csv"),
        ("s3://bucket/folder/", "names no table"),
        ("s3://bucket/.csv", "names no table"),
        ("s3:///answers.csv", "names no bucket"),
        ("https://host/answers.csv", "is none of s3://"),
        ("s3://key:secret@bucket/answers.csv", "without a user"),
        ("s3://bucket/answers.csv?token=secret", "without a user"),
    ],
)
def test_what_is_no_place_for_a_table_is_refused(text: str, words: str) -> None:
    with pytest.raises(ExportError, match=words) as caught:
        ExportTarget.parse(text)
    assert "secret" not in str(caught.value)


@pytest.fixture(params=["local", "own_s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "local":
        return (tmp_path / "out").as_uri()
    bucket: Bucket = request.getfixturevalue(request.param)
    bucket.enter(monkeypatch)
    return f"{bucket.url}/{tmp_path.name}"


def test_a_table_replaces_what_was_there(folder: str, tmp_path: Path) -> None:
    target = ExportTarget.parse(f"{folder}/answers.csv")
    target.require_writable()
    storage = open_storage(folder)
    assert [name for name in storage.list_names("") if not name.startswith(".tmp/")] == []
    for text in ("first\n", "second\n"):
        table = tmp_path / "table.csv"
        table.write_text(text)
        target.put(table)
        assert storage.read("answers.csv") == text.encode()
    assert storage.list_names("") == ["answers.csv"]


def test_a_place_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "table").write_text("rows")
    for name in ("file/answers.csv", "folder.csv"):
        target = ExportTarget.parse(str(tmp_path / name))
        with pytest.raises(ExportError, match=f"--export: {target} can't be written: .+"):
            target.require_writable()
        with pytest.raises(StorageError, match=f"the export to {target} waits: .+") as caught:
            target.put(tmp_path / "table")
        assert (caught.value.retryable, caught.value.fault) == (True, "outside")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.csv", "table"]
    assert not list((tmp_path / "folder.csv").iterdir())
