"""One seed: what is submitted, what fails, and until when it runs."""

import gzip
import json
import os
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from receiver.errors import NoticeError
from receiver.inbox.redis import DUE, ENTRY, NOTICE_QUEUE, SUBMISSIONS
from receiver.notices import dispatcher
from receiver.notices.acknowledgements import Acknowledged
from receiver.settings.notice_targets import Target
from receiver.settings.settings import read_settings
from tests.simulation import http_wire, scheduler, storage
from tests.simulation.effects import Effects
from tests.simulation.faults import Faults
from tests.simulation.gemini import API_KEY, BASE_URL, SimulatedGemini
from tests.simulation.http_wire import Network
from tests.simulation.orders import Ordered, draw_order
from tests.simulation.primitives import seed_random
from tests.simulation.processes import (
    Worker,
    keep_reconciling,
    keep_submitting,
    keep_sweeping,
    keep_telling,
    start_web,
)
from tests.simulation.scheduler import Process, Task, spawn
from tests.simulation.state import ReceivedNotice, State
from tests.simulation.storage import SimulatedStorage
from workers.job.context import current_settings

WEB_URL = "http://127.0.0.1:8000/webhooks/gemini"
NOTICE_URL = "http://127.0.0.1:7000/notices"
LONGEST_S = 4 * 3600.0  # after which something is owed for ever
LOOK_EVERY_S, QUIET_LOOKS = 40.0, 10  # longer than a reconcile run is away
TWICE, WIPED = 0.2, 0.1  # of the seeds: an input that two persons submit at once, and a wiped Redis
TEMPLATES = ("{batch}/{key}.json", "{batch}/all.jsonl")
NOTICE_ERRORS = {
    "500": lambda: NoticeError("simulated: answered 500"),
    "429": lambda: NoticeError("simulated: answered 429", retry_after_s=30),
    "lost": lambda: NoticeError("simulated: it took too long"),
}


@dataclass
class World(State):
    """All that there is in one seed; `run` it once, then `stop`."""

    def __post_init__(self) -> None:
        self._processes: list[Process] = []
        self._keepers = Process("keepers")
        self._manifests = set[str]()
        seed_random(self.seed)
        self.generator = random.Random(self.seed)
        self.scheduler = scheduler.begin()
        self.faults = Faults.draw(self.generator, self.scheduler.now_ns)
        self.effects = Effects(self.scheduler, self.generator, self.faults, self.say)
        self.wire.begin(self.effects)
        self.wire.on_push = self._wake_workers
        self.storage = SimulatedStorage(self.effects)
        storage.begin(self.storage)
        self.storage.on_write = self._watch_manifests
        self.network = Network(self.effects, self.generator)
        http_wire.begin(self.network)
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("gemini", "scratch"):
            (self.folder / name).mkdir(parents=True)
        self.gemini = SimulatedGemini(self.network, self.folder / "gemini", self.generator)
        self.network.may_lie = self.gemini.has_succeeded
        self.network.on_acknowledged = self._watch_acknowledged
        self._set_environment(self.gemini.register_webhook(WEB_URL))
        numbers = range(self.generator.randint(1, 2))
        self.orders = [draw_order(self.generator, self.folder, number) for number in numbers]

    def _set_environment(self, secret: str) -> None:
        os.environ |= {
            "GEMINI_API_KEY": API_KEY,
            "GEMINI_BASE_URL": BASE_URL,
            "GEMINI_WEBHOOK_SECRET": secret,
            "REDIS_URL": f"unix://{self.folder}/redis",
            "STORAGE_URL": "s3://simulated",
            "SCRATCH_DIR": str(self.folder / "scratch"),
            "OUTPUT_TEMPLATE": self.generator.choice(TEMPLATES),
            "RECONCILE_INTERVAL_S": "300",
            "NOTIFY_URL": NOTICE_URL,
            "NOTIFY_SECRET": "whsec_c2ltdWxhdGVkIHNlY3JldCBvZiB0aGlydHkgdHdv",
            "NOTIFY_PRIVATE": "true",
        }
        self.settings = read_settings(os.environ)
        current_settings.cache_clear()

    def _watch_manifests(self, name: str) -> None:
        """A manifest is written once, and what it names is there by then."""
        if not name.endswith("/_manifest.json"):
            return
        if name in self._manifests:
            self.problems.append(f"{name} was written twice")
        self._manifests.add(name)
        index = json.loads(self.storage.objects[name])["index"]
        if index is None:
            return
        packed = self.storage.objects.get(index["name"], b"")
        rows = [json.loads(row) for row in gzip.decompress(packed).splitlines()]
        missing = {row["object"] for row in rows} - self.storage.objects.keys()
        if missing or not packed:
            self.problems.append(f"{name} names what was not there: {sorted(missing)}")

    def _watch_acknowledged(self, delivery: bytes) -> None:
        """What got its 2xx is in the inbox."""
        batch = msgspec.json.decode(delivery)["data"]["id"]
        if self.wiped_ns is None and not self.wire.ask("EXISTS", ENTRY + batch):
            self.problems.append(f"the delivery of {batch} was acknowledged and is not recorded")

    def _wake_workers(self) -> None:
        idle, self.idle = self.idle, []
        for task in idle:
            self.scheduler.wake(task)

    def run(self) -> bool:
        """Run until nothing is owed any more. False when that takes for ever."""
        sender: Any = dispatcher
        sender.post = self._post
        for number in (1, 2):
            self._keep(f"worker {number}", Worker(self).run)
        self._keep("upkeep sweep", lambda: keep_sweeping(self))
        self._keep("upkeep reconcile", lambda: keep_reconciling(self))
        self._keep("upkeep notices", lambda: keep_telling(self))
        self._keep_alive("web", lambda process: start_web(self, process))
        for order in self.orders:
            self._begin_submitting(order)
        if self.generator.random() < WIPED:
            spawn(self._keepers, "wipe", self._wipe)
        is_quiet = self._wait_until_quiet()
        self.is_over = True
        return is_quiet

    def stop(self) -> None:
        """Let every task end."""
        for process in (*self._processes, self.gemini.process, self._keepers):
            self.scheduler.kill(process)
        self.scheduler.sleep(1)

    def _begin_submitting(self, order: Ordered) -> None:
        for number in range(2 if self.generator.random() < TWICE else 1):
            name = f"submitter {order.file.stem} {number}"
            self._keep(name, lambda: keep_submitting(self, order.file, order.request))

    def _keep(self, name: str, run: Callable[[], None]) -> None:
        self._keep_alive(name, lambda process: spawn(process, name, run))

    def _keep_alive(self, name: str, start: Callable[[Process], Task]) -> None:
        """Start a process, and another one in its place whenever it is killed."""

        def watch() -> None:
            process = Process(name, is_alive=False)
            while not process.is_alive:
                process = Process(name)
                self._processes.append(process)
                task = start(process)
                task.joiners.append(self.scheduler.current)
                while not task.is_done:
                    self.scheduler.wait()
                if not process.is_alive:
                    self.scheduler.sleep(self.generator.uniform(0.5, 20))

        spawn(self._keepers, f"keeper of {name}", watch)

    def _wipe(self) -> None:
        left_s = (self.faults.ends_ns - self.scheduler.now_ns) / 1e9
        self.scheduler.sleep(self.generator.uniform(0, left_s))
        self.effects.note("Redis is wiped")
        self.wire.wipe()
        self.wiped_ns = self.scheduler.now_ns

    def _post(
        self,
        target: Target,  # noqa: ARG002 - there is one
        body: bytes,
        headers: Mapping[str, str],
        tls: object,  # noqa: ARG002 - likewise
        *,
        private: bool,  # noqa: ARG002 - likewise
    ) -> Acknowledged:
        told = msgspec.json.decode(body)
        received = ReceivedNotice(
            headers["webhook-id"], told["type"], told["data"].get("batch", ""), told["data"]
        )
        label = f"{received.type} {received.batch[:16]}"
        self.effects.run("notice", label, lambda: self.notices.append(received), NOTICE_ERRORS)
        return Acknowledged(200, "200", 0.1)

    def _wait_until_quiet(self) -> bool:
        deadline_ns = self.scheduler.now_ns + int(LONGEST_S * 1e9)
        quiet = 0
        while quiet < QUIET_LOOKS:
            if self.scheduler.now_ns > deadline_ns:
                return False
            self.scheduler.sleep(LOOK_EVERY_S)
            quiet = quiet + 1 if self._is_quiet() else 0
        return True

    def _is_quiet(self) -> bool:
        """Whether the faults are over, and all that is owed is there."""
        (target,) = self.settings.notices.digests
        return (
            self.scheduler.now_ns > self.faults.ends_ns
            and len(self.submitted) == len(self.orders)
            and not self.wire.ask("ZCARD", DUE)
            and not self.wire.ask("ZCARD", SUBMISSIONS.due)
            and not self.wire.ask("ZCARD", NOTICE_QUEUE + target)
            and all(
                f"{name.removeprefix('batches/')}/_manifest.json" in self.storage.objects
                for name in (batch["name"] for batch in self.gemini.batches())
            )
        )
