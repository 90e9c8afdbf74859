import hashlib
import json
import wave
from base64 import b64encode, urlsafe_b64encode
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import BrokenAnswerError
from receiver.outputs.manifest import FormsRecord
from receiver.outputs.name_codec import Capitals
from receiver.outputs.paths import Template
from receiver.storage import LocalStorage
from tests.workers.forms.reading import findings, inline, line, listed, objects
from tests.workers.storing import GROUPED, PER_KEY, store
from workers.forms.media import CHARACTER_BATCH_SIZE, UNKNOWN, decode_media, extension_of

PICTURE = bytes(range(256)) * 3


def media_of(storage: LocalStorage) -> dict[str, bytes]:
    return {name: data for name, data in objects(storage).items() if "_media/" in name}


@pytest.mark.parametrize(
    ("mime_type", "extension"),
    [
        ("image/png", ".png"),
        ("IMAGE/JPEG", ".jpg"),
        ("audio/L16;codec=pcm;rate=24000", ".pcm"),
        (" audio/wav ; x=y", ".wav"),
        ("image/../../etc/passwd", UNKNOWN),
        ("../x", UNKNOWN),
        ("", UNKNOWN),
        ("\x00", UNKNOWN),
        ("x" * 10_000, UNKNOWN),
        (None, UNKNOWN),
        (["image/png"], UNKNOWN),
    ],
)
def test_type_chooses_a_known_ending(mime_type: object, extension: str) -> None:
    assert extension_of(mime_type) == extension


@given(st.binary(max_size=50))
def test_any_bytes_come_back(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "decoded"
    if not data:
        return
    decoded = decode_media({"data": b64encode(data).decode()}, path)
    assert path.read_bytes() == data
    assert decoded == (len(data), hashlib.sha256(data).hexdigest(), UNKNOWN, None)


@pytest.mark.parametrize("surplus", [-1, 0, 1, 2])
def test_pieces_join_without_a_seam(tmp_path: Path, surplus: int) -> None:
    data = bytes(range(251)) * (CHARACTER_BATCH_SIZE // 4 * 3 * 2 // 251 + 1)
    data = data[: CHARACTER_BATCH_SIZE // 4 * 3 * 2 + surplus]
    decode_media({"data": b64encode(data).decode()}, tmp_path / "decoded")
    assert (tmp_path / "decoded").read_bytes() == data


BROKEN = [
    ("A", "not base64"),
    ("AAA", "not base64"),
    ("AA==AA==", "goes on after its end"),
    ("A" * CHARACTER_BATCH_SIZE + "AA=A", "goes on after its end|not base64"),
    ("AA A", "not base64"),
    ("ä" * 4, "not base64"),
    ("=", "not base64"),
    (urlsafe_b64encode(b"\xff" * 3).decode(), "not base64"),
    ("", "no data"),
]


@pytest.mark.parametrize(("text", "words"), BROKEN)
def test_broken_base64_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BrokenAnswerError, match=words):
        decode_media({"data": text}, tmp_path / "decoded")
    assert not (tmp_path / "decoded").exists()


def test_parts_are_numbered(storage: LocalStorage) -> None:
    data = line(
        "k", "Here", inline(PICTURE), "and", inline(b"sound", "audio/wav"), inline(b"?", "../../x")
    )
    store(storage, data, 1, OUTPUT_FORMS="media")
    assert media_of(storage) == {
        "b1/_media/k.1.png": PICTURE,
        "b1/_media/k.2.wav": b"sound",
        "b1/_media/k.3.bin": b"?",
    }
    assert findings(storage) == []


def test_thoughts_are_no_media(storage: LocalStorage) -> None:
    store(
        storage,
        line("k", inline(b"sketch", thought=True), inline(b"picture")),
        1,
        OUTPUT_FORMS="media",
    )
    assert media_of(storage) == {"b1/_media/k.1.png": b"picture"}


def test_broken_part_keeps_its_number(storage: LocalStorage) -> None:
    data = line("k", inline(b"one"), inline("broken!"), inline(b"three")) + line(
        "l", {"inlineData": {"data": 7}}
    )
    manifest = store(storage, data, 2, OUTPUT_FORMS="media")
    assert media_of(storage) == {"b1/_media/k.1.png": b"one", "b1/_media/k.3.png": b"three"}
    assert isinstance(manifest.forms, FormsRecord)
    assert (manifest.forms.objects, manifest.forms.failed) == ({"media": 2}, {"media": 2})
    errors = [(row["key"], row["error"]) for row in listed(storage) if row["object"] is None]
    assert [key for key, _ in errors] == ["k", "l"]
    assert errors[0][1].startswith("part 2: the data is not base64")
    assert findings(storage) == []


def test_grouped_answers_have_media_of_their_own(storage: LocalStorage) -> None:
    data = (
        line("de-1", inline(b"a"))
        + line("../x", inline(b"b"))
        + line(None, inline(b"c"))
        + line("de-1.1", inline(b"d"))
    )
    store(storage, data, 4, GROUPED, OUTPUT_FORMS="media")
    assert media_of(storage) == {
        "b1/_media/de-1.1.png": b"a",
        "b1/_media/!2e.!2fx.1.png": b"b",
        "b1/_unkeyed/_media/3.1.png": b"c",
        "b1/_media/de-1.1.1.png": b"d",
    }
    assert findings(storage) == []


@pytest.mark.parametrize("capitals", get_args(Capitals))
@pytest.mark.parametrize("template", [PER_KEY, GROUPED, Template.parse("{batch}/{key}")])
def test_keys_never_share_media(
    storage: LocalStorage, template: Template, capitals: Capitals
) -> None:
    keys = [
        "a",
        "a.1",
        "a.1.png",
        "A",
        "a.png",
        "a-1",
        "a-1.1",
        "a.json",
        "a.json.1",
        "x" * 400,
        "x" * 401,
    ]
    store(
        storage,
        b"".join(line(key, inline(key.encode())) * 1 for key in keys),
        len(keys),
        replace(template, capitals=capitals),
        OUTPUT_FORMS="media",
    )
    assert sorted(media_of(storage).values()) == sorted(key.encode() for key in keys)
    ignoring_case = {name.lower() for name in media_of(storage)}
    assert len(ignoring_case) == len(keys) - (capitals == "kept")
    assert findings(storage) == []


def test_changed_picture_is_named(storage: LocalStorage) -> None:
    store(storage, line("k", inline(PICTURE)), 1, OUTPUT_FORMS="media")
    storage.put_many([("b1/_media/k.1.png", PICTURE[:-1] + b"#")])
    (finding,) = findings(storage)
    assert finding.startswith("b1/_media/k.1.png: ")


@pytest.mark.parametrize(
    ("mime_type", "rate", "channels"),
    [
        ("audio/L16;codec=pcm;rate=24000", 24000, 1),
        ("audio/l16; rate=16000; channels=2", 16000, 2),
        ('audio/pcm;rate="44100"', 44100, 1),
    ],
)
def test_samples_become_a_wav(tmp_path: Path, mime_type: str, rate: int, channels: int) -> None:
    samples = bytes(range(240))
    decoded = decode_media(
        {"data": b64encode(samples).decode(), "mimeType": mime_type}, tmp_path / "decoded"
    )
    with wave.open(str(tmp_path / "decoded")) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (
            rate,
            channels,
            2,
        )
        assert sound.readframes(sound.getnframes()) == samples
    data = (tmp_path / "decoded").read_bytes()
    assert decoded == (len(data), hashlib.sha256(data).hexdigest(), ".wav", mime_type)


@pytest.mark.parametrize(
    "mime_type", ["audio/L16", "audio/L16;rate=fast", "audio/L16;rate=0", "audio/L16;rate=9999999"]
)
def test_samples_of_unknown_rate_stay_samples(tmp_path: Path, mime_type: str) -> None:
    decoded = decode_media({"data": "AAAA", "mimeType": mime_type}, tmp_path / "decoded")
    assert (decoded.extension, decoded.size_bytes) == (".pcm", 3)


def test_two_candidates_have_two_pictures(storage: LocalStorage) -> None:
    contents = [
        {"content": {"parts": [inline(data)]}, "finishReason": "STOP"} for data in (b"one", b"two")
    ]
    data = json.dumps({"response": {"candidates": contents}, "key": "k"}).encode() + b"\n"
    store(storage, data, 1, OUTPUT_FORMS="media")
    assert media_of(storage) == {"b1/_media/k.1.png": b"one", "b1/_media/k.2.png": b"two"}


def test_left_out_parts_are_counted(storage: LocalStorage) -> None:
    manifest = store(
        storage, line("k", "a", {"fileData": {"fileUri": "u"}}), 1, OUTPUT_FORMS="text,media"
    )
    assert isinstance(manifest.forms, FormsRecord)
    assert manifest.forms.failed == {"left_out": 1}
    (row,) = [row for row in listed(storage) if row["object"] is None]
    assert (row["form"], row["key"], row["error"]) == (
        "left_out",
        "k",
        "in the raw line alone: 1 fileData",
    )
    assert findings(storage) == []
