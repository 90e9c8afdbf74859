import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import SignatureError
from receiver.verification.signatures import Verified, verify
from tests.receiver.forging import (
    AUDIENCE,
    BODY,
    ED25519_ENTRY,
    ID,
    NOW,
    SECRET,
    STATIC_ENTRY,
    headers,
    key_set,
    signed_bytes,
    static_entry,
    token,
)

NOT_ASCII = "longer than 16384 characters or not ASCII"
JUNK = "v1," + base64.b64encode(bytes(32)).decode()


def judge(delivery: dict[str, str], body: bytes = BODY) -> Verified:
    return verify(delivery, body, now=NOW, secrets=[SECRET], keys=key_set(), audience=AUDIENCE)


@pytest.mark.parametrize(
    "timestamp",
    [
        "+1",
        "-1",
        "01",
        "00",
        " 1",
        "1 ",
        "1.0",
        "1e9",
        "0x1",
        "1_0",
        "١٢٣",
        "1\n",
        "9" * 13,
        "nan",
        f"{NOW},{NOW}",
    ],
)
def test_timestamp_is_canonical_decimal_only(timestamp: str) -> None:
    signature = static_entry(SECRET.key, signed_bytes(timestamp=timestamp))
    with pytest.raises(SignatureError, match=r"^webhook-timestamp is ") as refusal:
        judge(headers(signature, timestamp))
    expected = "not a plain number of seconds" if timestamp.isascii() else NOT_ASCII
    assert refusal.value.reason == f"webhook-timestamp is {expected}"


@pytest.mark.parametrize("delivery_id", ["a.b", "a b", "a\n", "a\x00", "é", "x" * 257, "a\x7f"])
def test_ambiguous_id_is_refused(delivery_id: str) -> None:
    signature = static_entry(SECRET.key, signed_bytes(delivery_id=delivery_id))
    with pytest.raises(SignatureError, match=r"^webhook-id is ") as refusal:
        judge(headers(signature, delivery_id=delivery_id))
    form = "not 1 to 256 printable ASCII characters without spaces and dots"
    assert refusal.value.reason == f"webhook-id is {form if delivery_id.isascii() else NOT_ASCII}"


@pytest.mark.parametrize("delivery_id", ["x", "x" * 256, "!#$/:@[`{~-_"])
def test_unusual_printable_id_is_kept(delivery_id: str) -> None:
    signature = static_entry(SECRET.key, signed_bytes(delivery_id=delivery_id))
    assert judge(headers(signature, delivery_id=delivery_id)).delivery_id == delivery_id


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_missing_header_is_named(name: str) -> None:
    delivery = headers(STATIC_ENTRY)
    for incomplete in (
        delivery | {name: ""},
        {key: value for key, value in delivery.items() if key != name},
    ):
        with pytest.raises(SignatureError, match=f"^missing {name}$"):
            judge(incomplete)


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        ("v1", "no signature matches"),
        ("v1,abc,def", "no signature matches"),
        ("v2,abc", "^webhook-signature has no version that is known here$"),
        ("V1,abc", "no version"),
        (" ", "no version"),
        ("a.b.c.d.e", "no version"),
        (f"{token()} {STATIC_ENTRY}", "^webhook-signature mixes a token with other signatures$"),
        (f"{STATIC_ENTRY} {token()}", "mixes a token"),
        (f"{token()},{STATIC_ENTRY}", "no version"),
        (f"{JUNK} " * 16 + STATIC_ENTRY, "^webhook-signature has more than 16 entries$"),
        (f"{STATIC_ENTRY}\tv2,abc", "no signature matches"),
        ("v1," + "x" * (16384 - 3), "no signature matches"),
        ("v1," + "x" * (16385 - 3), f"^webhook-signature is {NOT_ASCII}$"),
        ("v1,é", f"^webhook-signature is {NOT_ASCII}$"),
        ("v1,\ud800", "not ASCII"),
    ],
)
def test_malformed_signature_header_is_refused(signature: str, reason: str) -> None:
    with pytest.raises(SignatureError, match=reason):
        judge(headers(signature))


ENTRY = st.one_of(
    st.sampled_from(
        [
            STATIC_ENTRY,
            ED25519_ENTRY,
            "v1,",
            "v1a,",
            "v1",
            ",",
            " ",
            "a.b.c",
            "eyJhbGciOiJub25lIn0.e30.",
        ]
    ),
    st.text(max_size=40),
)
FUZZED_HEADERS = st.dictionaries(
    st.one_of(
        st.sampled_from(["webhook-id", "Webhook-Timestamp", "webhook-signature", "WEBHOOK-ID"]),
        st.text(max_size=20),
    ),
    st.one_of(
        st.text(max_size=80),
        st.sampled_from([ID, str(NOW)]),
        st.lists(ENTRY, max_size=4).map(" ".join),
    ),
)


@given(FUZZED_HEADERS, st.one_of(st.binary(), st.just(BODY)))
def test_fuzzed_delivery_is_judged_calmly(fuzzed: dict[str, str], body: bytes) -> None:
    delivery = headers(STATIC_ENTRY) | fuzzed
    try:
        verified = judge(delivery, body)
    except SignatureError:
        return
    assert (verified.delivery_id, body) == (ID, BODY)
    assert delivery["webhook-timestamp"] == str(NOW)


@given(st.lists(ENTRY, min_size=1, max_size=5), st.binary())
def test_fuzzed_signatures_prove_no_foreign_body(entries: list[str], body: bytes) -> None:
    with pytest.raises(SignatureError):
        judge(headers(" ".join(entries)), body + b"!")
