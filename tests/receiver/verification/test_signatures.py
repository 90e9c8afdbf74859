import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook
from starlette.datastructures import Headers

from receiver.errors import SignatureError, UnknownKeyError
from receiver.verification.keys import KeySet, Secret
from receiver.verification.signatures import Scheme, Verified, detect_scheme, verify
from tests.receiver.forging import (
    AUDIENCE,
    BODY,
    ED25519_ENTRY,
    ED25519_PRIVATE,
    ID,
    NOW,
    SECRET,
    SECRET_TEXT,
    STATIC_ENTRY,
    ed25519_entry,
    headers,
    key_set,
    signed_bytes,
    static_entry,
    token,
)

OTHER_SECRETS = [Secret(bytes(range(first, first + 32))) for first in (1, 33, 65)]


def judge(
    given_headers: dict[str, str] | Headers,
    body: bytes = BODY,
    *,
    now: float = NOW,
    secrets: Sequence[Secret] = (SECRET,),
    keys: KeySet | None = None,
) -> Verified:
    keys = key_set() if keys is None else keys
    return verify(given_headers, body, now=now, secrets=secrets, keys=keys, audience=AUDIENCE)


@pytest.mark.parametrize(
    ("entry", "scheme"), [(STATIC_ENTRY, Scheme.STATIC), (ED25519_ENTRY, Scheme.ED25519)]
)
def test_published_vectors_are_accepted(entry: str, scheme: Scheme) -> None:
    assert judge(headers(entry)) == Verified(scheme, ID, None)
    assert detect_scheme(headers(entry)) is scheme


def test_standardwebhooks_signature_is_accepted() -> None:
    signature = Webhook(SECRET_TEXT).sign(ID, datetime.fromtimestamp(NOW, UTC), BODY.decode())
    assert judge(headers(signature)).scheme is Scheme.STATIC


def test_standardwebhooks_accepts_what_we_do() -> None:
    now = int(datetime.now(UTC).timestamp())
    delivery = headers(static_entry(SECRET.key, signed_bytes(timestamp=now)), now)
    assert judge(delivery, now=now) == Verified(Scheme.STATIC, ID, None)
    Webhook(SECRET_TEXT).verify(BODY, delivery, json_parse=False)


JUNK = "v1," + base64.b64encode(bytes(32)).decode()
JUNK_A = "v1a," + base64.b64encode(bytes(64)).decode()


@pytest.mark.parametrize(
    ("signature", "scheme"),
    [
        (f"{JUNK} {STATIC_ENTRY}", Scheme.STATIC),
        (f"{STATIC_ENTRY} {JUNK}", Scheme.STATIC),
        (f"v2,anything v9 , {STATIC_ENTRY}", Scheme.STATIC),
        (f"  {STATIC_ENTRY} ", Scheme.STATIC),
        (f"{JUNK_A} {STATIC_ENTRY}", Scheme.STATIC),
        (f"{JUNK} {ED25519_ENTRY}", Scheme.ED25519),
        (f"{JUNK_A} {ED25519_ENTRY}", Scheme.ED25519),
        (f"v1a,! v1a, {ED25519_ENTRY}", Scheme.ED25519),
        (f"{JUNK} " * 15 + STATIC_ENTRY, Scheme.STATIC),  # 16 entries are not too many
    ],
)
def test_any_matching_entry_passes(signature: str, scheme: Scheme) -> None:
    assert judge(headers(signature)).scheme is scheme


def test_every_rotated_secret_passes() -> None:
    secrets = [*OTHER_SECRETS, SECRET]
    for secret in secrets:
        assert (
            judge(headers(static_entry(secret.key, signed_bytes())), secrets=secrets).scheme
            is Scheme.STATIC
        )


def test_every_published_key_passes() -> None:
    private = [Ed25519PrivateKey.generate() for _ in range(3)]
    keys = KeySet(tuple(key.public_key() for key in private))
    for key in private:
        assert (
            judge(headers(ed25519_entry(key, signed_bytes())), keys=keys).scheme is Scheme.ED25519
        )


def test_header_names_ignore_case() -> None:
    delivery = {name.title(): value for name, value in headers(STATIC_ENTRY).items()}
    assert judge(delivery).delivery_id == ID
    assert judge(Headers(delivery)).delivery_id == ID


def test_repeated_headers_are_refused() -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers(STATIC_ENTRY).items()]
    for pair in raw:
        with pytest.raises(SignatureError, match=f"{pair[0].decode()} is given twice"):
            judge(Headers(raw=[*raw, pair]))


ED25519_KEY_AS_SECRET = ED25519_PRIVATE.public_key().public_bytes_raw()


@pytest.mark.parametrize(
    "signature",
    [
        "v1a," + STATIC_ENTRY.removeprefix("v1,"),
        "v1," + ED25519_ENTRY.removeprefix("v1a,"),
        f"{JUNK} v1a,{STATIC_ENTRY.removeprefix('v1,')}",
        f"{JUNK_A} v1,{ED25519_ENTRY.removeprefix('v1a,')}",
        static_entry(ED25519_KEY_AS_SECRET, signed_bytes()),
        ed25519_entry(Ed25519PrivateKey.from_private_bytes(SECRET.key), signed_bytes()),
    ],
)
def test_no_scheme_replaces_another(signature: str) -> None:
    with pytest.raises(SignatureError, match="no signature matches"):
        judge(headers(signature))


def test_each_scheme_needs_own_keys() -> None:
    hint = "no webhook secret is known here, set GEMINI_WEBHOOK_SECRET"
    with pytest.raises(SignatureError, match=f"^no signature matches: {hint}$"):
        judge(headers(STATIC_ENTRY), secrets=())
    with pytest.raises(
        UnknownKeyError, match=r"^no signature matches any Ed25519 key of the key set$"
    ):
        judge(headers(ED25519_ENTRY), keys=KeySet((), key_set().rsa))


@pytest.mark.parametrize("signature", [JUNK_A, f"{JUNK} {JUNK_A}"])
def test_unmatched_ed25519_asks_for_keys(signature: str) -> None:
    with pytest.raises(UnknownKeyError):
        judge(headers(signature))


def test_unmatched_static_asks_no_keys() -> None:
    with pytest.raises(SignatureError) as refusal:
        judge(headers(JUNK))
    assert not isinstance(refusal.value, UnknownKeyError)
    assert refusal.value.reason == "no signature matches"


@pytest.mark.parametrize("entry", [STATIC_ENTRY, ED25519_ENTRY])
def test_one_changed_body_byte_refuses(entry: str) -> None:
    for place in range(len(BODY)):
        changed = bytearray(BODY)
        changed[place] ^= 1
        with pytest.raises(SignatureError, match="no signature matches"):
            judge(headers(entry), bytes(changed))


@pytest.mark.parametrize("entry", [STATIC_ENTRY, ED25519_ENTRY])
@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_one_changed_header_character_refuses(entry: str, name: str) -> None:
    delivery = headers(entry)
    value = delivery[name]
    for place, replacement in (
        (place, new) for place in range(len(value)) for new in "0A/ =,.\n" if new != value[place]
    ):
        with pytest.raises(SignatureError):
            judge(delivery | {name: value[:place] + replacement + value[place + 1 :]})


def respelled(entry: str) -> list[str]:
    """The same signature bytes in the forms that a lenient decoder takes."""
    version, text = entry.split(",")
    bare = text.rstrip("=")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = bare[:-1] + last[last.index(bare[-1]) + 1] + text[len(bare) :]
    forms = (
        bare,
        text + "=",
        text + "====",
        twin,
        text[:9] + "\n" + text[9:],
        text.replace("+", "-").replace("/", "_"),
    )
    return [f"{version},{form}" for form in forms]


@pytest.mark.parametrize("signature", respelled(STATIC_ENTRY) + respelled(ED25519_ENTRY))
def test_only_canonical_base64_matches(signature: str) -> None:
    with pytest.raises(SignatureError, match="no signature matches"):
        judge(headers(signature))


@pytest.mark.parametrize(
    ("off_s", "reason"),
    [
        (0, None),
        (300, None),
        (-300, None),
        (301, "timestamp is 301 s in the past: check the clock of this machine"),
        (-301, "timestamp is 301 s in the future: check the clock of this machine"),
        (300.5, "timestamp is 301 s in the past: check the clock of this machine"),
        (3600, "timestamp is 3600 s in the past: check the clock of this machine"),
    ],
)
@pytest.mark.parametrize("entry", [STATIC_ENTRY, ED25519_ENTRY])
def test_tolerance_ends_after_300_seconds(entry: str, off_s: float, reason: str | None) -> None:
    if reason is None:
        assert judge(headers(entry), now=NOW + off_s).delivery_id == ID
    else:
        with pytest.raises(SignatureError) as refusal:
            judge(headers(entry), now=NOW + off_s)
        assert refusal.value.reason == reason


def test_stale_forgery_blames_no_clock() -> None:
    with pytest.raises(SignatureError, match=r"^no signature matches$"):
        judge(headers(JUNK), now=NOW + 3600)


def test_token_takes_webhook_id() -> None:
    verified = judge(headers(token(jti="job-7")))
    assert (verified.scheme, verified.delivery_id) == (Scheme.JWT, ID)
    assert verified.claims is not None
    assert verified.claims["aud"] == AUDIENCE
    assert detect_scheme(headers(token())) is Scheme.JWT


@pytest.mark.parametrize("bad_id", [None, "a b", "a.b", "x" * 257])
def test_token_without_id_takes_jti(bad_id: str | None) -> None:
    delivery = {"webhook-signature": token(jti="job-7")} | (
        {"webhook-id": bad_id} if bad_id else {}
    )
    assert judge(delivery).delivery_id == "job-7"


@pytest.mark.parametrize("jti", [..., 7, "", "a b", None])
def test_token_without_jti_is_digested(jti: object) -> None:
    signed = token(jti=jti)
    expected = hashlib.sha256(signed.rpartition(".")[0].encode()).hexdigest()
    assert judge({"webhook-signature": signed}).delivery_id == expected


def test_token_needs_no_iat() -> None:
    assert judge(headers(token(iat=...))).delivery_id == ID
