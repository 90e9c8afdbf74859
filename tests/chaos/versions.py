"""Two versions side by side on one Redis and one storage, as in every deploy and every rollback: nothing is lost.

The older one is real, from the project's own history. Each goes on with what the other left: entries in every state,
jobs, leases that were handed back or cut off, counters, manifests, and what was submitted.
"""

import compileall
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy.sandbox.processes import start, stop
from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import connect
from tests import nasty
from tests.chaos.batches import add_batches, attempts_of, ledger, wait_for_stored
from tests.chaos.checker import Watcher
from tests.chaos.posts import post
from tests.chaos.report import Options, Report
from tests.chaos.system import Process, System, children_of, running_system
from tests.running import answers, ready_batch, set_faults
from tests.waiting import eventually

OLDER = "99bcc249f3ccd697c5178d83e7caebf9b2e45cb3"
ROOT = Path(__file__).parents[2]
LONG_ROWS = 100
TOKEN = "a-token-of-the-metrics"
# What failed once still waits when the version changes; what Gemini does not know is given up within seconds.
SETTINGS = {"RETRY_BASE_S": "5", "OUTAGE_PATIENCE_S": "7", "METRICS_TOKEN": TOKEN}
GONE = "batches/gone"  # Gemini does not know it: it is given up
REQUESTS = {"good": "Hello", "bad": "[sandbox:error 8]"}


def has_history() -> bool:
    """Whether the older version can be had: a shallow clone lacks it."""
    argv = ["git", "-C", str(ROOT), "cat-file", "-e", f"{OLDER}^{{commit}}"]
    with suppress(FileNotFoundError):
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0
    return False


@dataclass(frozen=True)
class Version:
    name: str
    root: Path  # of its code

    def environment(self, system: System) -> dict[str, str]:
        return {**system.environment, "PYTHONPATH": str(self.root)}

    def start(self, system: System, command: str) -> Process:
        with (system.folder / f"{self.name}-{command}.log").open("ab") as log:
            argv = [sys.executable, "-m", "workers", command]
            return start(argv, env=self.environment(system), cwd=self.root, stdout=log)

    def start_web(self, system: System) -> None:
        system.web = self.start(system, "serve")
        eventually(
            lambda: answers(f"{system.web_url}/health"),
            30,
            f"the start of the {self.name} web process",
        )

    def ask(self, system: System, *args: str) -> "subprocess.CompletedProcess[str]":
        argv, env = [sys.executable, "-m", "workers", *args], self.environment(system)
        return subprocess.run(
            argv, env=env, cwd=self.root, capture_output=True, text=True, timeout=120, check=False
        )

    def complaints(self, system: System) -> list[str]:
        """Its errors in the log, but for the batch that had to be given up."""
        lines = [
            line
            for path in system.folder.glob(f"{self.name}-*.log")
            for line in path.read_text().splitlines()
        ]
        told = [json.loads(line) for line in lines if line.startswith("{")]
        loud = [
            one
            for one in told
            if one["level"] in {"error", "critical"} and one.get("batch") != GONE
        ]
        return [json.dumps(one) for one in loud] + [
            line for line in lines if line.startswith("Traceback")
        ]


def export_older(folder: Path) -> Version:
    """The older version's code in the folder. Raises CalledProcessError where the history lacks it."""
    argv = ["git", "-C", str(ROOT), "archive", "--format=tar", OLDER, "receiver", "workers"]
    archive = subprocess.run(argv, capture_output=True, check=True).stdout
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    compileall.compile_dir(folder, quiet=2)  # else several compile it at once, or each anew
    return Version("older", folder)


def two_versions(options: Options) -> Report:
    """A deploy and a rollback at once, each one process after the other, while batches arrive."""
    report = Report("two versions", options.seed)
    options.folder.mkdir(parents=True, exist_ok=True)
    older, newer = export_older(options.folder / "older"), Version("newer", ROOT)
    with ThreadPoolExecutor() as pool:  # each mostly waits
        deploy = pool.submit(_change, options, report, "deploy", older, newer)
        rollback = pool.submit(_change, options, report, "rollback", newer, older)
    deploy.result()
    rollback.result()
    return report


def _change(options: Options, report: Report, way: str, before: Version, after: Version) -> None:
    folder = options.folder / way
    why = "the model knows the scripts of this version"
    with running_system(folder, options.seed, settings=SETTINGS, unrecorded=why) as system:
        assert system.web is not None
        stop(system.web)
        change = Change(report, way, system, before, after)
        with Watcher(system.outputs) as watcher:
            change.run(options.size(60, 8))
            change.judge(watcher)


@dataclass
class Change:
    """From one version to the other."""

    report: Report
    way: str
    system: System
    before: Version
    after: Version
    added: int = 0
    capitals: list[str] = field(
        default_factory=list
    )  # stored whole by one version, under such keys

    def run(self, load: int) -> None:
        """`load` batches arrive before and during each step."""
        system = self.system
        self.before.start_web(system)
        workers = [self.before.start(system, "worker") for _ in range(2)]
        system.workers += workers
        self.submit(self.before)
        self.wait(self.add(load))
        self.add_capitals()
        self.leave_one_of_each()
        holder = eventually(
            lambda: [one for one in workers if children_of(one.pid)], 30, "a worker with a job"
        )[0]
        self.add(load)
        stop(holder)  # in the middle of its job
        set_faults(system.gemini_url, drip_downloads=None)
        self.replace(holder)
        assert system.web is not None
        stop(system.web)
        self.add(load)  # while no web process is there
        self.after.start_web(system)
        (last,) = [one for one in workers if one is not holder]
        self.add(load)
        last.kill()  # wherever it is
        self.replace(last)
        self.add(load)
        self.wait([one["name"] for one in ledger(system)["batches"]])
        self.add_capitals()

    def add(self, count: int, word: str = "key") -> list[str]:
        """Names of keys without capitals are the same in both versions, whoever ends a batch."""
        names = add_batches(self.system, range(self.added, self.added + count), word)
        self.added += count
        return names

    def add_capitals(self) -> None:
        """A batch whose names the older version encodes, and the newer one does not."""
        names = self.add(1, "Key")
        self.wait(names)
        self.capitals += names

    def wait(self, names: list[str]) -> None:
        with suppress(TimeoutError):
            wait_for_stored(self.system, names, 120)

    def replace(self, worker: Process) -> None:
        self.system.workers.remove(worker)
        self.system.workers.append(self.after.start(self.system, "worker"))

    def submit(self, version: Version) -> None:
        """The same requests each time: only the first time may cost anything."""
        file = self.system.folder / "requests.jsonl"
        rows = [
            {"key": key, "request": {"contents": [{"parts": [{"text": text}]}]}}
            for key, text in REQUESTS.items()
        ]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        words = ["batches", "submit", str(file), "--model", "gemini-3.5-flash"]
        if version.root == ROOT:  # the older one knows no rounds
            words += ["--rounds", "0"]
        done = version.ask(self.system, *words)
        self.report.hold(
            f"{self.way}: the {version.name} one submits: {done.stderr}", done.returncode == 0
        )
        eventually(self.submitted, 60, "the batch that is submitted")

    def submitted(self) -> list[str]:
        """The batches of our commands: their inputs are files, and they have a name."""
        return [
            one["name"]
            for one in ledger(self.system)["batches"]
            if one["input_file"] and one["display_name"]
        ]

    def leave_one_of_each(self) -> None:
        """A batch that was given up, one that waits after an error, one that a worker has."""
        system = self.system
        post(system, GONE, "msg_gone")
        eventually(lambda: self.state(GONE) == "buried", 30, "the batch that is given up")
        set_faults(system.gemini_url, get_status={"status": 500, "times": 1})
        (failed,) = self.add(1)
        eventually(lambda: self.failures(failed) == 1, 30, "the batch that failed once")
        set_faults(system.gemini_url, drip_downloads={"bytes_per_s": 2000, "times": "all"})
        source = system.folder / "results.jsonl"
        source.write_bytes(
            b"".join(nasty.answer(f"k{n}", "x" * 2000) + b"\n" for n in range(LONG_ROWS))
        )
        held = ready_batch(system.gemini_url, result_path=str(source), request_count=LONG_ROWS)
        eventually(lambda: self.state(held) == "leased", 30, "the batch that a worker has")

    def failures(self, name: str) -> int:
        """The version before counts an error of Gemini as an attempt."""
        with connect(self.system.redis_url) as client:
            entry = Inbox(client).entries([name]).get(name)
        return entry.attempts + entry.outages if entry else 0  # its delivery may still be under way

    def state(self, name: str) -> str:
        with connect(self.system.redis_url) as client:
            entry = Inbox(client).entries([name]).get(name)
        return entry.state if entry else ""

    def judge(self, watcher: Watcher) -> None:
        system, batches = self.system, ledger(self.system)["batches"]
        names = [one["name"] for one in batches]
        lost = [
            name for name in names if not (system.outputs / name[8:] / "_manifest.json").is_file()
        ]
        self.report.note(**{f"{self.way}_batches": len(names), f"{self.way}_lost": len(lost)})
        self.hold("nothing is lost", not lost)
        self.hold("nothing is stored twice", not watcher.changed())
        self.hold("no manifest names what is not there", not watcher.torn)
        self.hold("only the error and the kill are counted", attempts_of(system, names) <= 2)
        self.submit(self.after)
        self.hold("nothing is submitted twice", len(ledger(system)["batches"]) == len(names))
        submitted = self.submitted()[0]
        self.hold_capitals()
        for version in (self.before, self.after):
            self.hold_commands(
                version, [name for name in names if name not in self.capitals], submitted
            )
            complaints = version.complaints(system)
            self.hold(
                f"the {version.name} one complains of nothing: {complaints[:3]}", not complaints
            )
        metrics = httpx.get(
            f"{system.web_url}/metrics",
            headers={"Authorization": f"Bearer {TOKEN}"},
            trust_env=False,
        )
        self.hold(f"metrics are shown: {metrics.status_code}", metrics.status_code == 200)
        again = self.after.ask(system, "resubmit", submitted)
        self.hold(
            f"what was submitted is submitted again where it failed: {again.stderr}",
            again.returncode == 0,
        )

    def hold_capitals(self) -> None:
        """Each version finds the answers of both; only the newer one can judge the names of both."""
        (newer,) = (one for one in (self.before, self.after) if one.root == ROOT)
        proven = newer.ask(self.system, "verify", *self.capitals)
        said = f"{proven.stdout[-500:]}{proven.stderr}"
        self.hold(f"the newer one proves the names of both: {said}", proven.returncode == 0)
        for version in (self.before, self.after):
            for name in self.capitals:
                manifest = json.loads(
                    (self.system.outputs / name[8:] / "_manifest.json").read_bytes()
                )
                key = f"Key 0/{int(name.rpartition('n')[2])}"
                found = version.ask(self.system, "batches", "results", name, key)
                claim = f"the {version.name} one finds {key}, capitals {manifest.get('capitals')}"
                self.hold(f"{claim}: {found.stderr}", found.returncode == 0)

    def hold_commands(self, version: Version, names: list[str], submitted: str) -> None:
        """What each version says of what both left."""
        proven = version.ask(self.system, "verify", *names)
        self.hold(
            f"the {version.name} one proves all: {proven.stdout[-500:]}{proven.stderr}",
            proven.returncode == 0,
        )
        asked = [
            ("status",),
            ("events", "list"),  # as the older version calls it
            ("events", "show", GONE),
            ("batches", "show", submitted),
        ]
        for words in asked:
            done = version.ask(self.system, *words, "--json")
            readable = done.returncode in {0, 1} and "Traceback" not in done.stderr
            self.hold(
                f"the {version.name} one answers {' '.join(words)}: {done.stderr}",
                readable and is_json(done.stdout),
            )

    def hold(self, claim: str, held: bool) -> None:  # noqa: FBT001 - reads as a sentence
        self.report.hold(f"{self.way}: {claim}", held)


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
