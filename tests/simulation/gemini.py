"""Gemini in the simulation: the sandbox, in an event loop of its own, which is never killed."""

import asyncio
import random
from pathlib import Path
from typing import Any

import msgspec

from deploy.sandbox.api import app as sandbox
from deploy.sandbox.config import SandboxConfig
from deploy.sandbox.delivery.signing import DynamicKeys
from deploy.sandbox.faults.faults import Faults
from receiver.http import httpx
from tests.simulation.http_wire import Answer, Network
from tests.simulation.loop import Loop, run_loop
from tests.simulation.scheduler import Process

BASE_URL = "http://127.0.0.1:9"
API_KEY = "simulated-key"
EVENTS = ["batch.succeeded", "batch.failed", "batch.cancelled", "batch.expired"]
JOB_FAULTS = (
    *("fail_jobs", "expire_jobs", "cancel_jobs", "error_jobs", "shuffle_rows", "inline_answers"),
    *("error_details", "late_output"),
)
DELIVERY_FAULTS = ("drop_deliveries", "duplicate_deliveries", "reorder_deliveries")
_keys = DynamicKeys(["one", "two", "three", "four"])  # making them takes long


class SimulatedGemini:
    """Ask it past the network, which has the faults."""

    def __init__(self, network: Network, folder: Path, generator: random.Random) -> None:
        self._network = network
        app_module: Any = sandbox
        app_module.DynamicKeys = lambda *_, **__: _keys
        config = SandboxConfig(
            folder=folder,
            pending_s=generator.uniform(0, 20),
            running_s=generator.uniform(0, 200),
            seed=generator.randrange(1000),
            retry_base_s=5,
            retry_for_s=generator.choice((60.0, 900.0)),
            disable_after=10**6,
        )
        faults = Faults()
        names = (*JOB_FAULTS, *DELIVERY_FAULTS) if generator.random() < 0.7 else ()
        faults.set({name: generator.choice((1, 2)) for name in names if generator.random() < 0.25})
        loop = Loop()
        app = sandbox.create_app(config, faults)
        network.gemini = (app, loop)

        async def run() -> None:
            await asyncio.Event().wait()

        self.process = Process("gemini")
        run_loop(self.process, loop, run)

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        """A call that nothing befalls."""
        content = b"" if body is None else msgspec.json.encode(body)
        headers = {"x-goog-api-key": API_KEY}
        request = httpx.Request(method, f"{BASE_URL}{path}", headers=headers, content=content)
        answer = self._network.ask_gemini(request)
        if answer.status != httpx.codes.OK:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.body[:200]!r}")
        return answer

    def register_webhook(self, url: str) -> str:
        """Gives its secret."""
        asked = {"uri": url, "subscribed_events": EVENTS}
        answer = self.ask("POST", "/v1beta/webhooks", asked)
        secret: str = msgspec.json.decode(answer.body)["new_signing_secret"]
        return secret

    def batches(self) -> list[dict[str, Any]]:
        """Every batch as the sandbox has it."""
        ledger = msgspec.json.decode(self.ask("GET", "/sandbox/ledger").body)
        found: list[dict[str, Any]] = ledger["batches"]
        return found

    def deliveries(self) -> list[dict[str, Any]]:
        """Every delivery with its attempts."""
        ledger = msgspec.json.decode(self.ask("GET", "/sandbox/ledger").body)
        found: list[dict[str, Any]] = ledger["deliveries"]
        return found

    def has_succeeded(self, download_path: str) -> bool:
        """Whether a result file is that of a batch that succeeded."""
        batch = download_path.rpartition("/batch-")[2].partition(":")[0]
        answer = msgspec.json.decode(self.ask("GET", f"/v1beta/batches/{batch}").body)
        state: str = answer["metadata"]["state"]
        return state.endswith("SUCCEEDED")

    def result_lines(self, batch: str) -> tuple[bytes, list[bytes]] | None:
        """The results as Gemini gives them, whole and by line; None where there are none."""
        data = msgspec.json.decode(self.ask("GET", f"/v1beta/{batch}").body, type=_Operation)
        output = data.metadata.output
        if output is None:
            return None
        if output.responses_file is not None:
            path = f"/download/v1beta/{output.responses_file}:download?alt=media"
            body = self.ask("GET", path).body
        else:
            rows = output.inlined_responses.inlined_responses if output.inlined_responses else []
            body = b"".join(msgspec.json.format(row, indent=-1) + b"\n" for row in rows)
        return body, body.split(b"\n")[:-1]


class _Rows(msgspec.Struct, rename="camel"):
    inlined_responses: list[msgspec.Raw] = []


class _Output(msgspec.Struct, rename="camel"):
    responses_file: str | None = None
    inlined_responses: _Rows | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    state: str
    output: _Output | None = None


class _Operation(msgspec.Struct):
    metadata: _Metadata
