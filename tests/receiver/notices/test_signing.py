"""What we sign is verified by `standardwebhooks`, and by our own verifying side."""

import base64
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from receiver.notices.signing import sign
from receiver.verification.keys import KeySet, Secret
from receiver.verification.signatures import verify
from tests.receiver.forging import BODY, ID, NOW, SECRET, SECRET_TEXT, STATIC_ENTRY

OTHER_TEXT = "whsec_" + base64.b64encode(bytes(range(40))).decode()
OTHER = Secret.parse(OTHER_TEXT)


def test_known_signature_is_made() -> None:
    assert sign([SECRET], ID, NOW + 0.9, BODY) == {
        "webhook-id": ID,
        "webhook-timestamp": str(NOW),
        "webhook-signature": STATIC_ENTRY,
    }


@pytest.mark.parametrize("text", [SECRET_TEXT, OTHER_TEXT])
def test_every_secret_of_a_rotation_verifies(text: str) -> None:
    headers = sign([SECRET, OTHER], ID, time.time(), BODY)
    assert Webhook(text).verify(BODY, headers)
    assert (
        verify(
            headers,
            BODY,
            now=time.time(),
            secrets=[Secret.parse(text)],
            keys=KeySet(),
            audience=None,
        ).delivery_id
        == ID
    )


@pytest.mark.parametrize("change", ["body", "id", "timestamp", "secret"])
def test_any_change_is_noticed(change: str) -> None:
    headers, body = sign([OTHER if change == "secret" else SECRET], ID, time.time(), BODY), BODY
    if change == "body":
        body += b" "
    elif change == "id":
        headers["webhook-id"] += "x"
    elif change == "timestamp":
        headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) - 1)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET_TEXT).verify(body, headers)
