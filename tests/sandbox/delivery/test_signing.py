"""The vectors of the wire contract, and what the key set looks like."""

from standardwebhooks import Webhook

from deploy.sandbox.delivery.signing import DynamicKeys, new_secret, sign_v1

BODY = (
    b'{"type":"batch.succeeded","version":"v1","timestamp":"2026-01-22T12:00:00Z",'
    b'"data":{"id":"batches/abc","output_file_uri":"files/batch-abc"}}'
)
MESSAGE_ID = "msg_0b6f1b1e-0000-4000-8000-000000000001"
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY="


def test_static_vector_holds() -> None:
    assert (
        sign_v1([SECRET], MESSAGE_ID, 1769083200, BODY)
        == "v1,0EEgxH8QUW5vw3W+CIkU8iIsBZ5fRoLegpaHlV+hKbI="
    )


def test_secret_is_32_letters() -> None:
    secret = new_secret()
    assert Webhook(secret)._whsecret.isalnum()  # noqa: SLF001 - the peer's own reading of the key
    assert len(Webhook(secret)._whsecret) == 32  # noqa: SLF001 - as above
    assert secret != new_secret()


def test_impostor_shares_only_ids() -> None:
    keys = DynamicKeys()
    real, false = keys.jwks()["keys"], keys.impostor().jwks()["keys"]
    assert [key["kid"] for key in real] == [key["kid"] for key in false]
    assert all(
        one.get("x", one.get("n")) != two.get("x", two.get("n"))
        for one, two in zip(real, false, strict=True)
    )
