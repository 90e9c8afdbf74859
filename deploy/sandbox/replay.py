"""Takes from a report of `gemini-batch-receiver doctor --probe` how Gemini behaves.

The report holds shapes only, so answers and contents stay the sandbox's own.
"""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import msgspec

from deploy.sandbox.google_api import Json

FORMAT = 1
# That the sandbox or its HTTP client sends by itself.
OWN_HEADERS = frozenset(
    ("host", "connection", "content-length", "content-type", "transfer-encoding")
)
PREFIXES = {"batches/<id>": "batches/", "batch_<id>": "batch_"}
WITHOUT_RANGE, PARTIAL = 200, 206


@dataclass(frozen=True)
class Replay:
    """What a report says."""

    options: Json = field(default_factory=dict)  # of `serve`, by parameter
    faults: Json = field(default_factory=dict)
    delivery_headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by scheme
    kids: tuple[str, ...] = ()  # of the Ed25519 keys, then of the RSA key
    publishes_rsa: bool = True


def read_replay(path: Path) -> Replay:
    """Raises click.BadParameter for a file that is no report."""
    try:
        report = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        return _read(report)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        why = f"it lacks {error}" if isinstance(error, LookupError) else str(error)
        raise click.BadParameter(
            f"{path} is no report of `gemini-batch-receiver doctor --probe`: {why}",
            param_hint="--replay",
        ) from error


def _read(report: Json) -> Replay:
    if report["format"] != FORMAT:
        raise ValueError(f"its format is {report['format']}, and {FORMAT} is known here")
    calls = {one["call"]: one for one in report["calls"]}  # the last of each name
    faults = dict[str, Any]()
    for found in (_faults_of_calls(calls), _faults_of_deliveries(report["deliveries"])):
        faults |= dict(found)
    states = [state["state"] for batch in report["batches"] for state in batch["states"]]
    if states:
        faults["state_prefix"] = "JOB_STATE_" if states[0].startswith("JOB_") else "BATCH_STATE_"
    edwards = [key["kid"] for key in report["keys"] if key["crv"] == "Ed25519"]
    others = [key["kid"] for key in report["keys"] if key["kty"] == "RSA"]
    return Replay(
        options=dict(_times(report["batches"])),
        faults=faults,
        delivery_headers={one["scheme"]: _headers(one) for one in report["deliveries"]},
        kids=(*edwards, (others or ["rsa"])[0]) if edwards else (),
        publishes_rsa=bool(others) or not edwards,
    )


def _times(batches: list[Json]) -> Iterator[tuple[str, float]]:
    """How long the batch that ran to its end was pending and ran."""
    file = next((one for one in batches if one["batch"] == "file"), None)
    if file is None or file["ran_s"] is None:
        return
    seen = {one["state"].partition("_STATE_")[2]: one["at_s"] for one in file["states"]}
    pending_s = max(0.0, seen.get("RUNNING", 0.0) - min(seen.values()))
    pending_s = min(pending_s, file["ran_s"])
    yield "pending_s", pending_s
    yield "running_s", file["ran_s"] - pending_s


def _faults_of_calls(calls: Mapping[str, Json]) -> Iterator[tuple[str, Any]]:
    for call, fault in (("batch", "unknown_batch"), ("file", "unknown_file")):
        status = calls.get(f"ask with an unknown {call}", {}).get("status")
        if isinstance(status, int) and status > PARTIAL:
            yield fault, status
    if calls.get("download a range", {}).get("status") == WITHOUT_RANGE:
        yield "ignore_range", "all"
    if "download" in calls and "content-length" not in calls["download"]["headers"]:
        yield "chunked_downloads", "all"
    shown = calls.get("get batch: file", {}).get("body")
    if isinstance(shown, dict):
        places = {
            "metadata": "output" in shown.get("metadata", {}),
            "response": "responsesFile" in shown.get("response", {}),
        }
        found = [place for place, holds in places.items() if holds]
        if found:
            yield "output_in", "both" if len(found) == len(places) else found[0]


def _faults_of_deliveries(deliveries: list[Json]) -> Iterator[tuple[str, Any]]:
    about = [one for one in deliveries if one["batch"] and isinstance(one["body"], dict)]
    if about:
        form = about[0]["body"].get("data", {}).get("id", "")
        yield "event_id", PREFIXES.get(form, "")
    dynamic = [one for one in about if one["batch"] == "dynamic"]
    if dynamic:
        yield "dynamic_scheme", dynamic[0]["scheme"]
        is_inside = "user_metadata" in dynamic[0]["body"].get("data", {})
        yield "user_metadata_in", "data" if is_inside else "top"
    delays = [one["after_end_s"] for one in deliveries if one["after_end_s"] is not None]
    if delays:
        yield "delay_deliveries_s", statistics.median(delays)


def _headers(delivery: Json) -> dict[str, str]:
    """A value that the report does not show is made up."""
    made_up = {"…": "replayed", "digits": "1"}
    return {
        name: made_up.get(value, value)
        for name, value in delivery["headers"].items()
        if name not in OWN_HEADERS and not name.startswith("webhook-")
    }
