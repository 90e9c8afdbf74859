import json

import msgspec
import pytest

from receiver.errors import ManifestError
from receiver.outputs.manifest import (
    BatchError,
    Cost,
    Input,
    Manifest,
    Objects,
    Record,
    Source,
    encode_manifest,
    read_manifest,
)

MANIFEST = Manifest(
    batch="batches/b1",
    state="SUCCEEDED",
    display_name="nightly",
    model="models/gemini-3.5-flash",
    created="2026-01-31T10:00:00Z",
    ended="2026-01-31T11:00:00Z",
    source=Source("file", "files/batch-b1", 20, 2, 1, "ab"),
    input=Input("b1/_input.jsonl.gz", "cd", 2),
    requests=2,
    outcomes={"ok": 1},
    missing=1,
    missing_keys=["ä"],
    balanced=True,
    usage={"prompt": 1, "by_modality": {"prompt": {"TEXT": 1}}},
    cost=Cost("USD", "1.5", "2026-10-07", "1", "0", "0.5"),
    objects=Objects(1, 20),
    index=Record("b1/_index.jsonl.gz", "ef"),
    error=BatchError(13, None),
    template="{batch}/{key}.json",
    version="0.1.0",
)


@pytest.mark.parametrize(
    ("keys", "is_ascii"), [([], True), (["ä"], False), (["ä", "\ud800"], True)]
)
def test_manifest_reads_back_with_any_key(keys: list[str], *, is_ascii: bool) -> None:
    manifest = msgspec.structs.replace(MANIFEST, missing_keys=keys)
    data = encode_manifest(manifest)
    assert read_manifest(data) == manifest
    assert data.isascii() is is_ascii
    assert data.endswith(b"\n}\n")


def test_fields_of_later_versions_are_ignored() -> None:
    data = json.loads(encode_manifest(MANIFEST)) | {"news": 1}
    assert read_manifest(json.dumps(data).encode()) == MANIFEST


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"batch":1}'])
def test_anything_else_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(ManifestError, match="it is not in the form of a manifest: "):
        read_manifest(data)
