"""Wycheproof's JWS cases: forged padding, confused algorithms, keys that a token brings, bad base64."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from receiver.errors import SignatureError
from receiver.verification.jwts import verify_token
from receiver.verification.keys import parse_key_set
from tests.receiver.forging import AUDIENCE, NOW

VECTORS = Path(__file__).parent / "wycheproof" / "json_web_signature_test.json"
NOT_CLAIMS = "the token is malformed"  # said once the signature holds: their payloads are no claims


def cases() -> list[Any]:
    """Each as its group's public key, if it has one, and the case."""
    return [
        pytest.param(
            group.get("public"), case, id=f"{case['tcId']}-{group['comment']}-{case['comment']}"
        )
        for group in json.loads(VECTORS.read_text())["testGroups"]
        for case in group["tests"]
    ]


def says_rs256(token: str) -> bool:
    return token.startswith(("eyJhbGciOiJSUzI1NiI", "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiI"))


def reason_of(public: Mapping[str, Any] | None, token: str) -> str:
    keys = parse_key_set(json.dumps({"keys": [public]}).encode()).rsa
    with pytest.raises(SignatureError) as refusal:
        verify_token(token, keys, now=NOW, audience=AUDIENCE)
    return refusal.value.reason


@pytest.mark.parametrize(("public", "case"), cases())
def test_only_valid_signatures_of_rs256_hold(
    public: dict[str, Any] | None, case: dict[str, Any]
) -> None:
    is_good = case["result"] == "valid" and says_rs256(case["jws"])
    assert (reason_of(public, case["jws"]) == NOT_CLAIMS) == is_good


@pytest.mark.parametrize(("public", "case"), cases())
def test_no_other_algorithm_holds_with_a_key_for_any(
    public: dict[str, Any] | None, case: dict[str, Any]
) -> None:
    """The key set refuses keys of other algorithms, and the token is judged without its help."""
    entry = {name: value for name, value in (public or {}).items() if name != "alg"}
    if not says_rs256(case["jws"]):
        assert reason_of(entry, case["jws"]) != NOT_CLAIMS


def test_cases_hold_both_kinds() -> None:
    """Else a verifier that refuses all would pass above."""
    results = [(one["result"], says_rs256(one["jws"])) for _, one in (c.values for c in cases())]
    assert results.count(("valid", True)) == 8
    assert results.count(("invalid", True)) > 200
    assert len(results) == 401
