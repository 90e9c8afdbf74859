"""Ways to spoil a delivery. Each takes dice, a signer and a delivery, and gives what may not be genuine any more."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import replace
from random import Random

from deploy.sandbox.delivery.signing import SECRET_PREFIX, sign_v1
from tests.fuzz.originals import (
    OTHER_PATH,
    PATH,
    SCHEMES,
    SIGNED,
    Delivery,
    Signer,
    b64,
    make_original,
    signed,
)
from tests.receiver.forging import static_entry

Mutation = Callable[[Random, Signer, Delivery], Delivery]
ID, TIMESTAMP, SIGNATURE = SIGNED
KINDS = (
    b"application/json",
    b"text/plain",
    b"application/jsonp",
    b"",
    b"multipart/form-data",
    b"json",
    b"application/x",
)
EVENT = {"type": "batch.failed", "data": {"id": "batches/a"}}
METHODS = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post", "POSTS", "")
WORDS = (
    b"",
    b"0",
    b"-1",
    b"null",
    b"v1",
    b"v1,",
    b"v1a,",
    b"..",
    b"a.b.c",
    b",",
    b" ",
    b"\xff\xfe",
    b"\0",
    b"%00",
    b"\r\nx: y",
)
BROKEN_BODIES = (
    b"", b"null", b"[]", b'"batch.succeeded"', b"{", b"\xff", b"\xef\xbb\xbf{}", b'{"type": 1}', b'{"type": ""}',
    b'{"type": "batch.failed"}', b'{"type": "batch.failed", "data": {"id": "../x"}}', b"NaN", b"1e999", b"{}{}",
    b'{"type": "batch.failed", "data": {"id": 7}}', b'{"type": "batch.failed", "data": []}', b"[" * 100_000,
    b'{"a":' * 50_000, b'{"type": "batch.failed", "data": {"id": "batches/a\\u0000b"}}', b'{"type": "\\ud800 \\u0007"}',
    b'{"type": "' + b"x" * 5000 + b'"}', b'{"data": {"id": "batches/a"}}', b'{"type": ["batch.failed"]}',
)  # fmt: skip


def spoil(rng: Random, data: bytes) -> bytes:
    """A few bytes changed, lost, doubled or put in."""
    text = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(text) + 1)
        match rng.randrange(5):
            case 0 if at < len(text):
                text[at] ^= 1 << rng.randrange(8)
            case 1:
                text[at:at] = rng.choice((rng.randbytes(rng.randrange(1, 5)), *WORDS))
            case 2:
                del text[at : at + rng.randrange(1, 9)]
            case 3:
                text[at:at] = text[: rng.randrange(len(text) + 1)][:500]
            case _:
                del text[at:]
    return bytes(text)


def spoil_header(rng: Random, _signer: Signer, delivery: Delivery) -> Delivery:
    name = rng.choice((*SIGNED, SIGNATURE, b"content-type"))
    return delivery.with_header(name, spoil(rng, delivery.get(name)))


def replace_header(rng: Random, _signer: Signer, delivery: Delivery) -> Delivery:
    value = rng.choice(
        (
            *WORDS,
            rng.randbytes(rng.randrange(200)),
            rng.choice(WORDS) * 2000,
            delivery.get(rng.choice(SIGNED)),
        )
    )
    return delivery.with_header(rng.choice(SIGNED), value)


def drop_header(rng: Random, _signer: Signer, delivery: Delivery) -> Delivery:
    return delivery.without(rng.choice((*SIGNED, b"content-type")))


def double_header(rng: Random, _signer: Signer, delivery: Delivery) -> Delivery:
    name = rng.choice(SIGNED)
    twin = (name, rng.choice((delivery.get(name), *WORDS)))
    pairs = (twin, *delivery.headers) if rng.random() < 0.5 else (*delivery.headers, twin)
    return replace(delivery, headers=pairs)


def shift_timestamp(rng: Random, _signer: Signer, delivery: Delivery) -> Delivery:
    value = int(delivery.get(TIMESTAMP) or b"0") if delivery.get(TIMESTAMP).isdigit() else 0
    shift = rng.choice((-301, 301, -86400, 86400, 1, -1, 10**9, -value, value * 1000))
    forms = (
        f"{value + shift}",
        f"0{value}",
        f"+{value}",
        f"{value}.0",
        f" {value}",
        f"{value}e0",
        hex(value),
        f"{value}_0",
    )
    unusual = "".join(chr(0x660 + int(digit)) for digit in str(value))
    return delivery.with_header(TIMESTAMP, rng.choice((*forms, unusual)).encode())


def respell_signature(rng: Random, _signer: Signer, delivery: Delivery) -> Delivery:
    """The same signature, or nearly, in another spelling."""
    version, comma, text = delivery.get(SIGNATURE).rpartition(b",")
    last = text.rstrip(b"=")[-1:] or b"A"
    twin = bytes([last[0] ^ 1])
    forms = (
        version + comma + text.rstrip(b"="), version + comma + text + b"=", version.upper() + comma + text,
        version + comma + text.replace(b"+", b"-").replace(b"/", b"_"), version + comma + text.swapcase(),
        version + b";" + text, b"v2" + comma + text, b"v1a" + comma + text, b"v1" + comma + text, text,
        version + comma + text[: len(text) // 2] + b"\n" + text[len(text) // 2 :], version + comma + b" " + text,
        version + comma + text[: -len(last) - text.count(b"=")] + twin + b"=" * text.count(b"="),
        b"v1a" + comma + text + b" v1" + comma + text + b" ", b" ".join([version + comma + text[:-3]] * 40),
    )  # fmt: skip
    return delivery.with_header(SIGNATURE, rng.choice(forms))


def sign_otherwise(rng: Random, signer: Signer, delivery: Delivery) -> Delivery:
    """Signed with the right code and a wrong key, or signed for something else."""
    stamp = delivery.get(TIMESTAMP)
    timestamp = int(stamp) if stamp.isdigit() and len(stamp) < 12 else 0
    delivery_id = delivery.get(ID).decode("latin-1")
    wrong = [
        signer.foreign_secret,
        "",
        b64(b"\0" * 32),
        b64(signer.secrets[0].encode()),
        b64(rng.randbytes(24)),
    ]
    impostor = signer.keys.impostor()
    entries = (
        sign_v1([rng.choice(wrong)], delivery_id, timestamp, delivery.body),
        sign_v1(signer.secrets, delivery_id + "x", timestamp, delivery.body),
        sign_v1(signer.secrets, delivery_id, timestamp + 400, delivery.body),
        sign_v1(signer.secrets, delivery_id, timestamp, delivery.body + b" "),
        signer.keys.sign_v1a(delivery_id + "x", timestamp, delivery.body),
        impostor.sign_v1a(delivery_id, timestamp, delivery.body),
    )
    return delivery.with_header(SIGNATURE, rng.choice(entries).encode())


def sign_unusual(rng: Random, signer: Signer, delivery: Delivery) -> Delivery:
    """Signed with the right secret: too old or too new, or with an id or a time in a form that is none."""
    now = int(time.time())
    shift = rng.choice((-301, 310, -3600, 86400, -now, now * 999))
    late = (f"msg_{rng.randbytes(8).hex()}", str(now + shift))
    forms = (
        f"0{now}",
        f"+{now}",
        f"{now}.0",
        f" {now}",
        f"{now} ",
        hex(now),
        "",
        f"-{now}",
        f"{now}\n",
        f"{now:,}",
    )
    ids = ("", "a.b", "a b", "x" * 257, "\t", "a\x7f", "\xe9", ".")
    delivery_id, timestamp = rng.choice(
        (late, ("msg_1", rng.choice(forms)), (rng.choice(ids), str(now)))
    )
    texts = (delivery_id.encode("latin-1"), timestamp.encode())
    key = base64.b64decode(rng.choice(signer.secrets).removeprefix(SECRET_PREFIX))
    entry = static_entry(key, b"%b.%b.%b" % (*texts, delivery.body))
    for name, value in zip(SIGNED, (*texts, entry.encode()), strict=True):
        delivery = delivery.with_header(name, value)
    return delivery


def sign_for_another(_rng: Random, signer: Signer, delivery: Delivery) -> Delivery:
    """A genuine token, meant for another receiver."""
    audience = f"{signer.audience}/"
    return delivery.with_header(SIGNATURE, signer.keys.sign_jwt(audience, EVENT).encode())


def forge_token(rng: Random, signer: Signer, delivery: Delivery) -> Delivery:
    """A token that is honest about the body and signed by nobody, or by a key of the sender's own."""
    kid = signer.keys.jwks()["keys"][-1]["kid"]
    claims = {"aud": signer.audience, "iat": 10**9, "exp": 4 * 10**9, **EVENT}
    header = {
        "alg": rng.choice(("none", "HS256", "RS256", "rs256", "", "PS256", "EdDSA")),
        "kid": kid,
        "typ": "JWT",
    }
    header |= rng.choice(
        (
            {},
            {"jku": "http://127.0.0.1:9/"},
            {"crit": ["exp"]},
            {"b64": False},
            {"jwk": {"kty": "oct"}},
        )
    )
    signing_input = f"{_segment(header)}.{_segment(claims)}"
    public = json.dumps(signer.keys.jwks()["keys"][-1]).encode()
    by_public_key = hmac.digest(
        public, signing_input.encode(), "sha256"
    )  # what HS256 takes for a shared secret
    signature = rng.choice((b"", by_public_key, rng.randbytes(256)))
    return delivery.with_header(SIGNATURE, f"{signing_input}.{_base64url(signature)}".encode())


def _segment(value: object) -> str:
    return _base64url(json.dumps(value).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def spoil_token(rng: Random, signer: Signer, _delivery: Delivery) -> Delivery:
    """A genuine token with one of its three parts spoilt or taken from another."""
    token, other = (make_original(signer, "jwt", rng) for _ in range(2))
    parts, foreign = token.get(SIGNATURE).split(b"."), other.get(SIGNATURE).split(b".")
    at = rng.randrange(3)
    parts[at] = rng.choice(
        (
            spoil(rng, parts[at]),
            foreign[at] if at else b"e30",
            parts[at][:-1] + bytes([parts[at][-1] ^ 1]),
        )
    )
    spoilt = b".".join(parts)
    return token.with_header(SIGNATURE, spoilt[:-1] if spoilt == token.get(SIGNATURE) else spoilt)


def spoil_body(rng: Random, _signer: Signer, delivery: Delivery) -> Delivery:
    return replace(delivery, body=spoil(rng, delivery.body))


def replace_body(rng: Random, _signer: Signer, delivery: Delivery) -> Delivery:
    body = rng.choice((*BROKEN_BODIES, rng.randbytes(rng.randrange(300)), delivery.body + b"\n"))
    return replace(delivery, body=body)


def sign_broken_body(rng: Random, signer: Signer, _delivery: Delivery) -> Delivery:
    """Genuine in every way, and no event."""
    return signed(signer, rng.choice(SCHEMES[:2]), rng.choice(BROKEN_BODIES), rng)


def enlarge_body(rng: Random, signer: Signer, delivery: Delivery) -> Delivery:
    body = b" " * (1024 * 1024 + 1) + delivery.body
    return signed(signer, "v1", body, rng) if rng.random() < 0.5 else replace(delivery, body=body)


def change_kind(rng: Random, _signer: Signer, delivery: Delivery) -> Delivery:
    return delivery.with_header(b"content-type", rng.choice(KINDS[1:]))


def change_method(rng: Random, _signer: Signer, delivery: Delivery) -> Delivery:
    return replace(delivery, method=rng.choice(METHODS))


def change_door(_rng: Random, _signer: Signer, delivery: Delivery) -> Delivery:
    """What opens one project's door, at another's. Dynamic keys are the service's own: they open both."""
    if not delivery.get(SIGNATURE).startswith(b"v1,"):
        return delivery
    return replace(delivery, path=OTHER_PATH if delivery.path == PATH else PATH)


def invent(rng: Random, _signer: Signer, _delivery: Delivery) -> Delivery:
    """Nothing genuine in it at all."""
    names = (
        *SIGNED,
        *SIGNED,
        b"content-type",
        b"content-length",
        b"x-forwarded-for",
        b"transfer-encoding",
        b"",
    )
    pairs = [
        (rng.choice(names), rng.choice((*WORDS, *KINDS, rng.randbytes(rng.randrange(60)))))
        for _ in range(rng.randrange(9))
    ]
    return Delivery(
        (*pairs, (b"content-type", rng.choice(KINDS[:2]))), rng.randbytes(rng.randrange(400))
    )


COMMON: tuple[Mutation, ...] = (
    spoil_header, spoil_header, replace_header, drop_header, double_header, shift_timestamp, respell_signature,
    respell_signature, sign_otherwise, sign_unusual, spoil_body, spoil_body, replace_body, change_kind, change_method,
    change_door, invent,
)  # fmt: skip
# Their signatures cost a hundred times the rest, so they come less often.
COSTLY: tuple[Mutation, ...] = (
    forge_token,
    spoil_token,
    sign_for_another,
    sign_broken_body,
    enlarge_body,
)


def mutate(rng: Random, signer: Signer, original: Delivery) -> tuple[Delivery, str]:
    """A mutant, and the names of what was done to it."""
    if rng.random() < 0.03:
        chosen = rng.choices(COSTLY, weights=(10, 10, 5, 10, 1))
    else:
        chosen = rng.choices(COMMON, k=rng.choice((1, 1, 1, 2, 3)))
    if change_door in chosen:
        chosen = [change_door]  # another mutation may have taken the key of that very door
    mutant = original
    for mutation in chosen:
        mutant = mutation(rng, signer, mutant)
    return mutant, "+".join(mutation.__name__ for mutation in chosen)
