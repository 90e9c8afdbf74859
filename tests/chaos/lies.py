"""Gemini answers 200 with something else than the results, and later with them."""

import json
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

import httpx

from tests.answering import Answer, answering
from tests.chaos.batches import batch_id, wait_for_stored
from tests.chaos.checker import MANIFEST, Watcher, judge
from tests.chaos.report import Options, Report
from tests.chaos.system import System, running_system
from tests.nasty import answer
from tests.running import ready_batch

ROWS = 20
BASE_S = 0.02  # RETRY_BASE_S: readings are 0.12, 0.48 and 1.2 s apart
MAX_LIES = 3  # to one batch; the fourth of a kind would be believed
PAGE = b"<html><head><title>502 Bad Gateway</title></head>\n<body><hr>\nnginx\n</body></html>\n"
ERROR = {
    "error": {
        "code": 503,
        "message": "The service is currently unavailable.",
        "status": "UNAVAILABLE",
    }
}
KINDS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "page": lambda _: PAGE,
    "error": lambda _: json.dumps(ERROR, indent=2).encode(),
    "error_on_one_line": lambda _: json.dumps(ERROR).encode() + b"\n",
    "half": lambda truth: b"".join(truth.splitlines(keepends=True)[: ROWS // 2]),
    "half_and_page": lambda truth: (
        b"".join(truth.splitlines(keepends=True)[: ROWS // 2]) + PAGE * ROWS
    ),
    "cut": lambda truth: truth[:-10],
}


@dataclass
class Front:
    """Stands before the sandbox and passes everything on, but for the lies that it was told to tell of a file."""

    gemini_url: str
    lies: dict[str, "deque[str]"] = field(
        default_factory=dict
    )  # file -> the kinds that are left to tell
    told: "Counter[str]" = field(default_factory=Counter)
    client: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=30))

    def answer(self, path: str, headers: Message) -> Answer:
        found = self.client.get(
            f"{self.gemini_url}{path}", headers={"x-goog-api-key": headers["x-goog-api-key"] or ""}
        )
        file = path.rpartition("/")[2].partition(":")[0]
        left = self.lies.get(file)
        body = found.content
        if ":download" in path and left and found.is_success:
            kind = left.popleft()
            self.told[kind] += 1
            body = KINDS[kind](body)
        return Answer(
            found.status_code, body, {"content-type": found.headers.get("content-type", "")}
        )


def _plan(rng: random.Random) -> "deque[str]":
    """No lie, the same one several times, or one after the other."""
    if rng.random() < 0.5:
        return deque([rng.choice(list(KINDS))] * rng.randint(0, MAX_LIES))
    return deque(rng.choices(list(KINDS), k=rng.randint(1, MAX_LIES)))


def _add(system: System, number: int, rows: int) -> str:
    """A batch of ROWS requests whose file holds `rows` results. Gives its name."""
    path = system.folder / f"results-{number}.jsonl"
    path.write_bytes(b"".join(answer(f"key-{row}-of-{number}") + b"\n" for row in range(rows)))
    identity = batch_id(system.seed, number)
    return ready_batch(system.gemini_url, id=identity, result_path=str(path), request_count=ROWS)


def lying_download(options: Options) -> Report:
    """Every kind of lie, told up to three times of each batch: all are stored whole. What stays short is said to be."""
    report, rng = Report("lies", options.seed), random.Random(options.seed)
    events = options.size(200, 14)
    with running_system(
        options.folder, options.seed, settings={"RETRY_BASE_S": str(BASE_S)}
    ) as system:
        front = Front(system.gemini_url)
        with answering(front.answer) as url, Watcher(system.outputs) as watcher:
            system.settings["GEMINI_BASE_URL"] = url
            for number in range(events):
                kinds = list(KINDS)[number : number + 1]  # each at least once
                front.lies[f"batch-{batch_id(system.seed, number)}"] = deque(kinds) or _plan(rng)
            for _ in range(2):
                system.start_worker()
            names = [_add(system, number, ROWS) for number in range(events)]
            short = _add(system, events, ROWS // 2)
            took_s = wait_for_stored(system, [*names, short], 60 + events)
            report.note(batches=len(names) + 1, lies=front.told.total(), took=f"{took_s:.0f} s")
            report.note(**{kind: front.told[kind] for kind in KINDS})
            report.hold("every kind was told", all(front.told[kind] for kind in KINDS))
            _judge_books(report, system, names, short)
            report.judge(judge(system, watcher, names))
    return report


def _judge_books(report: Report, system: System, names: list[str], short: str) -> None:
    whole = [name for name in names if _is_whole(_manifest(system, name))]
    report.note(whole=len(whole))
    report.hold("every batch is stored with every key", len(whole) == len(names))
    manifest, shown = _manifest(system, short), system.command("batches", "show", short)
    report.hold("what stays short is committed as short", manifest["missing"] == ROWS - ROWS // 2)
    report.hold("and says that it was doubted", bool(manifest["source"].get("doubted")))
    report.hold("loudly", shown.returncode == 1 and "look wrong" in shown.stderr)
    ends = [
        line
        for line in system.log_of()
        if line.get("event") == "batch.stored" and line.get("batch") == short
    ]
    report.hold("and once", [line["level"] for line in ends] == ["error"])


def _manifest(system: System, name: str) -> dict[str, Any]:
    path: Path = system.outputs / name.removeprefix("batches/") / MANIFEST
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def _is_whole(manifest: dict[str, Any]) -> bool:
    said = (manifest["outcomes"]["ok"], manifest["missing"], manifest["balanced"])
    return said == (ROWS, 0, True) and "doubted" not in manifest["source"]
