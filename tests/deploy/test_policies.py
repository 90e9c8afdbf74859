"""What the buckets' policies allow is what workers/README.md says that we need. No AWS was there to judge them."""

import json
from typing import Any

import pytest

from tests.deploy.reading import DEPLOY
from tests.pages import section

OBJECTS = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"}


def policy(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / "policies" / f"{name}.json").read_text())
    return found


def allowed(name: str) -> dict[str, set[str]]:
    """The actions on each resource."""
    found = dict[str, set[str]]()
    for statement in policy(name)["Statement"]:
        assert statement["Effect"] == "Allow"
        actions = statement["Action"]
        found[statement["Resource"]] = {actions} if isinstance(actions, str) else set(actions)
    return found


@pytest.mark.parametrize(
    ("name", "objects"), [("s3-worker", OBJECTS), ("s3-web", {"s3:GetObject"})]
)
def test_policy_allows_what_is_needed_alone(name: str, objects: set[str]) -> None:
    bucket = "arn:aws:s3:::EXAMPLE-BUCKET"
    assert allowed(name) == {bucket: {"s3:ListBucket"}, f"{bucket}/*": objects}
    assert [
        action
        for action in {*objects, "s3:ListBucket"}
        if f"`{action}`" not in section("## Storages")
    ] == []


def test_bucket_refuses_plain_http() -> None:
    (statement,) = policy("s3-bucket")["Statement"]
    assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_parts_of_killed_uploads_go() -> None:
    (rule,) = policy("s3-lifecycle")["Rules"]
    assert (rule["Status"], rule["AbortIncompleteMultipartUpload"]) == (
        "Enabled",
        {"DaysAfterInitiation": 1},
    )
    assert "Expiration" not in rule  # nothing that is stored goes by itself
