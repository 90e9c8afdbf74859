import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import SignatureError, UnknownKeyError
from receiver.verification.jwts import digest, is_token, require_fresh, verify_token
from tests.receiver.forging import (
    AUDIENCE,
    ED25519_PRIVATE,
    KID,
    NOW,
    base64url,
    rs256,
    rsa_jwk,
    rsa_key,
    token,
    unsigned,
)

GOOD_CLAIMS = {"aud": AUDIENCE, "iat": NOW, "exp": NOW + 300}
PUBLIC = rsa_key().public_key()


def judge(text: str, *, now: float = NOW, audience: str | None = AUDIENCE) -> dict[str, Any]:
    return verify_token(text, {KID: PUBLIC}, now=now, audience=audience)


def reason_of(text: str, *, now: float = NOW, audience: str | None = AUDIENCE) -> str:
    with pytest.raises(SignatureError) as refusal:
        judge(text, now=now, audience=audience)
    return refusal.value.reason


def test_good_token_gives_claims() -> None:
    assert judge(token(type="batch.succeeded")) == {**GOOD_CLAIMS, "type": "batch.succeeded"}


def test_token_of_pyjwt_is_accepted() -> None:
    assert judge(jwt.encode(GOOD_CLAIMS, rsa_key(), "RS256", headers={"kid": KID})) == GOOD_CLAIMS


def signed_with(alg: object, sign: Callable[[bytes], bytes], **header: Any) -> str:
    signing_input = unsigned({"alg": alg, "kid": KID, **header}, GOOD_CLAIMS)
    return f"{signing_input}.{base64url(sign(signing_input.encode()))}"


def hmac_with(key: bytes) -> Callable[[bytes], bytes]:
    return lambda message: hmac.digest(key, message, "sha256")


def pkcs1(algorithm: hashes.HashAlgorithm) -> Callable[[bytes], bytes]:
    return lambda message: rsa_key().sign(message, padding.PKCS1v15(), algorithm)


def pss(message: bytes) -> bytes:
    return rsa_key().sign(message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())


def ecdsa(message: bytes) -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).sign(message, ec.ECDSA(hashes.SHA256()))


def nothing(_message: bytes) -> bytes:
    return b""


PEM = PUBLIC.public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
PKCS1_PEM = PUBLIC.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1)
DER = PUBLIC.public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)
JWK = rsa_jwk()
ATTACKER = rsa_key("attacker")
ATTACKER_JWK = rsa_jwk(ATTACKER)
PARTS = token().split(".")
HEADER = {"alg": "RS256", "kid": KID}
NOT_RS256 = "alg is not RS256"
NO_MATCH = "no signature matches"
OWN_KEY = "header"


def by_attacker(**header: Any) -> str:
    return rs256(unsigned(HEADER | header, GOOD_CLAIMS), ATTACKER)


ALGORITHM_ATTACKS = {
    "none": (signed_with("none", nothing), NOT_RS256),
    "none with our signature": (signed_with("none", pkcs1(hashes.SHA256())), NOT_RS256),
    "None": (signed_with("None", nothing), NOT_RS256),
    "nOnE": (signed_with("nOnE", nothing), NOT_RS256),
    "empty": (signed_with("", nothing), NOT_RS256),
    "null": (signed_with(None, nothing), NOT_RS256),
    "HS256 keyed with the PEM": (signed_with("HS256", hmac_with(PEM)), NOT_RS256),
    "HS256 keyed with the stripped PEM": (signed_with("HS256", hmac_with(PEM.strip())), NOT_RS256),
    "HS256 keyed with the PKCS1 PEM": (signed_with("HS256", hmac_with(PKCS1_PEM)), NOT_RS256),
    "HS256 keyed with the DER": (signed_with("HS256", hmac_with(DER)), NOT_RS256),
    "HS256 keyed with the modulus": (signed_with("HS256", hmac_with(JWK["n"].encode())), NOT_RS256),
    "HS256 keyed with nothing": (signed_with("HS256", hmac_with(b"")), NOT_RS256),
    "RS256 by name, HMAC in fact": (signed_with("RS256", hmac_with(PEM)), NO_MATCH),
    "RS256 by name, PSS in fact": (signed_with("RS256", pss), NO_MATCH),
    "RS256 by name, SHA-1 in fact": (signed_with("RS256", pkcs1(hashes.SHA1())), NO_MATCH),
    "RS384": (signed_with("RS384", pkcs1(hashes.SHA384())), NOT_RS256),
    "RS512": (signed_with("RS512", pkcs1(hashes.SHA512())), NOT_RS256),
    "PS256": (signed_with("PS256", pss), NOT_RS256),
    "ES256": (signed_with("ES256", ecdsa), NOT_RS256),
    "EdDSA with the other kind of key": (signed_with("EdDSA", ED25519_PRIVATE.sign), NOT_RS256),
    "lower case": (signed_with("rs256", pkcs1(hashes.SHA256())), NOT_RS256),
    "space before": (signed_with(" RS256", pkcs1(hashes.SHA256())), NOT_RS256),
    "list": (signed_with(["RS256"], pkcs1(hashes.SHA256())), NOT_RS256),
    "object": (signed_with({"RS256": 1}, pkcs1(hashes.SHA256())), NOT_RS256),
    "absent": (rs256(unsigned({"kid": KID}, GOOD_CLAIMS)), NOT_RS256),
    "given twice": (
        rs256(unsigned(b'{"alg":"RS256","kid":"key-1","alg":"none"}', GOOD_CLAIMS)),
        NOT_RS256,
    ),
}
KEY_ATTACKS = {
    "foreign key under our kid": (by_attacker(), NO_MATCH),
    "embedded jwk": (by_attacker(jwk=ATTACKER_JWK), OWN_KEY),
    "embedded jwk, signed by us": (token({"jwk": JWK}), OWN_KEY),
    "jku": (by_attacker(jku="http://127.0.0.1:9/jwks.json"), OWN_KEY),
    "jku, signed by us": (token({"jku": "https://generativelanguage.googleapis.com/x"}), OWN_KEY),
    "x5u": (by_attacker(x5u="http://127.0.0.1:9/chain.pem"), OWN_KEY),
    "x5c": (by_attacker(x5c=["MIIB"]), OWN_KEY),
    "no kid": (rs256(unsigned({"alg": "RS256"}, GOOD_CLAIMS)), "no kid"),
    "kid null": (token({"kid": None}), "header"),
    "kid number": (token({"kid": 1}), "header"),
    "kid list": (token({"kid": [KID]}), "header"),
    "kid empty": (token({"kid": ""}), "RSA key with the token's kid"),
    "kid unknown": (by_attacker(kid="other"), "RSA key with the token's kid"),
    "kid as a path": (by_attacker(kid="../../../dev/null"), "RSA key with the token's kid"),
    "kid as SQL": (by_attacker(kid="x' UNION SELECT 'key"), "RSA key with the token's kid"),
    "kid as a URL": (by_attacker(kid="http://127.0.0.1:9/key"), "RSA key with the token's kid"),
    "kid in other case": (token({"kid": KID.upper()}), "RSA key with the token's kid"),
    "crit": (token({"crit": ["exp"], "exp": 1}), OWN_KEY),
    "crit empty": (token({"crit": []}), OWN_KEY),
    "b64 false": (token({"b64": False, "crit": ["b64"]}), OWN_KEY),
    "b64 true": (token({"b64": True}), OWN_KEY),
}
SHAPE_ATTACKS = {
    "no signature": (f"{PARTS[0]}.{PARTS[1]}.", NO_MATCH),
    "zero signature": (f"{PARTS[0]}.{PARTS[1]}.{base64url(bytes(256))}", NO_MATCH),
    "short signature": (f"{PARTS[0]}.{PARTS[1]}.{base64url(bytes(range(252)))}", NO_MATCH),
    "long signature": (token() + "AAAA", NO_MATCH),
    "signature of another token": (
        f"{PARTS[0]}.{PARTS[1]}.{token(jti='b').split('.')[2]}",
        NO_MATCH,
    ),
    "payload of another token": (f"{PARTS[0]}.{token(jti='b').split('.')[1]}.{PARTS[2]}", NO_MATCH),
    "empty payload": (rs256(f"{PARTS[0]}."), "malformed"),
    "payload list": (rs256(unsigned(HEADER, [GOOD_CLAIMS])), "malformed"),
    "payload text": (rs256(unsigned(HEADER, "claims")), "malformed"),
    "payload bytes": (rs256(unsigned(HEADER, b"\xff\x00")), "malformed"),
    "payload nested deeply": (rs256(unsigned(HEADER, b"[" * 5000)), "malformed"),
    "header nested deeply": (rs256(unsigned(b"[" * 5000, GOOD_CLAIMS)), "malformed"),
    "header list": (rs256(unsigned([HEADER], GOOD_CLAIMS)), "malformed"),
    "header bytes": (rs256(unsigned(b"\xff", GOOD_CLAIMS)), "malformed"),
    "longer than 8 KiB": (token(filler="x" * 6000), "longer than 8192"),
}


ATTACKS = ALGORITHM_ATTACKS | KEY_ATTACKS | SHAPE_ATTACKS


@pytest.mark.parametrize("name", ATTACKS)
def test_named_attack_is_refused(name: str) -> None:
    forged, reason = ATTACKS[name]
    assert reason in reason_of(forged)


@pytest.mark.parametrize(
    ("forged", "reason"),
    [
        (ATTACKS["none"][0], "the token's alg is not RS256"),
        (ATTACKS["jku"][0], "the token's header brings its own key or extension"),
        (
            rs256(unsigned({"alg": "RS256"}, GOOD_CLAIMS)),
            "the token's header has no kid",
        ),
        (
            token({"kid": "new"}),
            "no signature matches: the key set has no RSA key with the token's kid",
        ),
        (
            by_attacker(),
            "no signature matches: the token is not signed by the key that it names",
        ),
        (ATTACKS["header bytes"][0], "the token's header is malformed"),
        (ATTACKS["payload list"][0], "the token is malformed"),
        (token(aud="other"), "the token's aud is not GEMINI_WEBHOOK_AUDIENCE"),
        (token(exp=..., iat=...), "the token has neither exp nor iat"),
        (token(exp=10**12), "the token's exp is not a number of seconds"),
        (token(exp=0), f"the token expired {NOW} s ago: check the clock of this machine"),
    ],
)
def test_each_cause_has_its_words(forged: str, reason: str) -> None:
    assert reason_of(forged) == reason


def test_token_may_have_8192_characters() -> None:
    fill = (8192 - len(token({"typ": "JWT"}, filler=""))) * 3 // 4
    longest = next(
        long
        for typ in ("JWT", "JWT+", "at+jwt")
        for size in range(fill - 4, fill + 1)
        if len(long := token({"typ": typ}, filler="x" * size)) == 8192
    )
    assert judge(longest)
    assert reason_of(longest + "A") == "the token is longer than 8192 characters"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": ...}, "has no aud"),
        ({"aud": None}, "has no aud"),
        ({"aud": ""}, "has no aud"),
        ({"aud": "*"}, "aud is not"),
        ({"aud": AUDIENCE + "/"}, "aud is not"),
        ({"aud": AUDIENCE[:-1]}, "aud is not"),
        ({"aud": AUDIENCE.upper()}, "aud is not"),
        ({"aud": []}, "has no aud"),
        ({"aud": ["other"]}, "aud is not"),
        ({"aud": [AUDIENCE, 7]}, "aud is not"),
        ({"aud": {AUDIENCE: 1}}, "aud is not"),
        ({"aud": 7}, "aud is not"),
        ({"exp": ..., "iat": ...}, "neither exp nor iat"),
        ({"exp": NOW - 60}, "expired 60 s ago: check the clock of this machine"),
        ({"exp": str(NOW + 300)}, "exp is not a number"),
        ({"exp": None}, "exp is not a number"),
        ({"exp": True}, "exp is not a number"),
        ({"exp": -1}, "exp is not a number"),
        ({"exp": 10**400}, "exp is not a number"),
        ({"exp": float("inf")}, "exp is not a number"),
        ({"exp": float("nan")}, "exp is not a number"),
        ({"exp": [NOW + 300]}, "exp is not a number"),
        ({"iat": "now"}, "iat is not a number"),
        ({"iat": NOW + 301}, "iat is 301 s in the future: check the clock of this machine"),
        (
            {"iat": NOW - 301, "exp": ...},
            "iat is 301 s in the past: check the clock of this machine",
        ),
        ({"nbf": NOW + 61}, "starts in 61 s: check the clock of this machine"),
        ({"nbf": {}}, "nbf is not a number"),
    ],
)
def test_spoilt_claims_are_refused(claims: dict[str, Any], reason: str) -> None:
    assert reason in reason_of(token(**claims))


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": [AUDIENCE]},
        {"aud": ["other", AUDIENCE]},
        {"exp": NOW - 59},
        {"exp": NOW + 0.5},
        {"exp": ..., "iat": NOW - 300},
        {"exp": ..., "iat": NOW + 300},
        {"iat": ...},
        {"iat": NOW - 3600},
        {"nbf": NOW + 60},
        {"sub": 7, "jti": 7, "iss": 7},
    ],
)
def test_edges_of_claims_are_accepted(claims: dict[str, Any]) -> None:
    assert judge(token(**claims))["aud"]


def test_kid_unknown_asks_for_keys() -> None:
    with pytest.raises(UnknownKeyError):
        judge(token({"kid": "new"}))


def test_wrong_signature_asks_no_keys() -> None:
    with pytest.raises(SignatureError) as refusal:
        judge(by_attacker())
    assert not isinstance(refusal.value, UnknownKeyError)


@pytest.mark.parametrize("audience", [None, ""])
def test_missing_audience_names_setting(audience: str | None) -> None:
    assert reason_of(token(), audience=audience) == (
        "a token came and no audience is configured: set GEMINI_WEBHOOK_AUDIENCE to accept it"
    )


def test_refusals_repeat_no_content() -> None:
    canary = "canary\nforged line"
    for forged in (
        token({"kid": canary}),
        token({"alg": canary}),
        token(aud=canary),
        token(exp=canary),
    ):
        assert "canary" not in reason_of(forged)


@pytest.mark.parametrize("text", ["a.b.c", "a.b.", "-._.-", token()])
def test_compact_form_is_token(text: str) -> None:
    assert is_token(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "a.b",
        ".b.c",
        "a..c",
        "a.b.c.d",
        "a.b.c.d.e",
        "a.b.c\n",
        " a.b.c",
        "a.b.c=",
        "v1,a.b.c",
        "a.b.é",
    ],
)
def test_other_forms_are_no_token(text: str) -> None:
    assert not is_token(text)


def test_digest_ignores_signature() -> None:
    assert digest(token()) == digest(f"{PARTS[0]}.{PARTS[1]}.AAAA")
    assert digest(token()) != digest(token(jti="b"))


SEGMENT = st.one_of(
    st.sampled_from(PARTS), st.binary(max_size=60).map(base64url), st.text("AZaz09-_", max_size=40)
)


@given(
    st.tuples(SEGMENT, SEGMENT, SEGMENT).map(".".join).filter(lambda text: text != ".".join(PARTS))
)
def test_fuzzed_token_is_refused(text: str) -> None:
    reason_of(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5
)


@given(st.dictionaries(st.sampled_from(["aud", "exp", "iat", "nbf", "iss", "sub", "jti"]), JSON))
def test_fuzzed_signed_claims_are_judged(claims: dict[str, Any]) -> None:
    try:
        accepted = judge(rs256(unsigned(HEADER, json.dumps(GOOD_CLAIMS | claims).encode())))
    except SignatureError:
        return
    assert accepted["aud"] == AUDIENCE


@pytest.mark.parametrize("now", [700, 1000, 1299.9, 1300])
def test_five_minutes_are_fresh(now: float) -> None:
    require_fresh("it", 1000, now)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (699, "it is 301 s in the future"),
        (1301, "it is 301 s in the past"),
        (1300.01, "it is 301 s in the past"),
    ],
)
def test_later_moments_name_the_clock(now: float, words: str) -> None:
    with pytest.raises(SignatureError) as refusal:
        require_fresh("it", 1000, now)
    assert refusal.value.reason == f"{words}: check the clock of this machine"
