"""What the sandbox takes from a report of a probe, and what it says of a file that is none."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from deploy.sandbox.__main__ import main
from deploy.sandbox.delivery.signing import DynamicKeys
from deploy.sandbox.replay import read_replay


def report(**members: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"format": 1, "calls": [], "batches": [], "deliveries": [], "keys": []}
    return empty | members


def written(folder: Path, content: object) -> Path:
    path = folder / "gemini-probe.json"
    path.write_bytes(msgspec.json.encode(content))
    return path


def delivery(**members: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "batch": "file",
        "scheme": "v1",
        "headers": {},
        "body": {},
        "after_end_s": None,
    }
    return usual | members


def test_empty_report_changes_nothing(tmp_path: Path) -> None:
    replay = read_replay(written(tmp_path, report()))
    assert (replay.options, replay.faults, replay.kids) == ({}, {}, ())


def test_times_are_those_of_the_batch_that_ran_to_its_end(tmp_path: Path) -> None:
    states = [("PENDING", 1.0), ("RUNNING", 31.0), ("SUCCEEDED", 95.0)]
    seen = [{"state": f"BATCH_STATE_{state}", "at_s": at_s} for state, at_s in states]
    file = {"batch": "file", "states": seen, "ran_s": 90.0}
    cancelled = {"batch": "cancelled", "states": seen[:1], "ran_s": 0.1}
    deliveries = [delivery(after_end_s=delay_s) for delay_s in (2.0, 3.0, 50.0)]
    found = read_replay(written(tmp_path, report(batches=[cancelled, file], deliveries=deliveries)))
    assert found.options == {"pending_s": 30.0, "running_s": 60.0}
    assert found.faults["delay_deliveries_s"] == 3.0


def test_delivery_has_the_headers_of_its_scheme(tmp_path: Path) -> None:
    headers = {
        "user-agent": "Google-Webhooks",
        "x-cloud-trace-context": "…",
        "x-attempt": "digits",
        "webhook-id": "<prefix_>uuid",
        "content-length": "digits",
    }
    dynamic = delivery(
        batch="dynamic", scheme="jwt", headers=headers, body={"data": {"user_metadata": "object"}}
    )
    found = read_replay(written(tmp_path, report(deliveries=[delivery(), dynamic])))
    assert found.delivery_headers == {
        "v1": {},
        "jwt": {
            "user-agent": "Google-Webhooks",
            "x-cloud-trace-context": "replayed",
            "x-attempt": "1",
        },
    }
    assert (found.faults["dynamic_scheme"], found.faults["user_metadata_in"]) == ("jwt", "data")


@pytest.mark.parametrize(("has_rsa", "kids"), [(True, ("a", "b", "r")), (False, ("a", "b", "rsa"))])
def test_key_set_has_the_kids(tmp_path: Path, *, has_rsa: bool, kids: tuple[str, ...]) -> None:
    keys = [{"kid": kid, "kty": "OKP", "crv": "Ed25519"} for kid in "ab"]
    keys += [{"kid": "r", "kty": "RSA", "crv": ""}] if has_rsa else []
    found = read_replay(written(tmp_path, report(keys=keys)))
    assert found.kids == kids
    published = DynamicKeys(found.kids, publishes_rsa=found.publishes_rsa).jwks()["keys"]
    assert [key["kid"] for key in published] == ["a", "b", "r"][: len(keys)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "Expected `object`"),
        ({"format": 2}, "its format is 2, and 1 is known here"),
        ({"format": 1}, "it lacks 'calls'"),
        (report(batches=[{"batch": "file"}]), "it lacks 'states'"),
        (report(deliveries=[delivery(batch="dynamic", scheme="v7")]), "Invalid enum value 'v7'"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, content: object, said: str) -> None:
    path = written(tmp_path, content)
    result = CliRunner().invoke(main, ["serve", "--replay", str(path)])
    assert result.exit_code == 2
    assert "--replay" in result.stderr
    assert said in result.stderr
