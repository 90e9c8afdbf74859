"""How each peer is started on a result file, what it did, and what it leaves unproven."""

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import RunFailedError
from tests.bench.generator import Results
from tests.bench.peers.wheels import WheelMissingError, install
from tests.bench.stage import Stage
from tests.bench.subjects import (
    NAIVE_BY_KEY,
    OURS,
    OURS_BY_KEY,
    Prepare,
    Start,
    Subject,
    expect,
    printed,
)
from tests.running import ready_batch

PROGRAMS = Path(__file__).with_name("programs")
PREPARE_TIMEOUT_S = 600


@dataclass(frozen=True)
class Peer:
    subject: Subject
    did: str
    unproven: str  # what a user does not know afterwards


@dataclass(frozen=True)
class Wheel:
    steps: Sequence[str]  # the arguments of one `pip install` each
    program: str
    least_python: tuple[int, int] = (3, 11)

    def argv(self, stage: Stage, *args: str) -> list[str]:
        """Raises WheelMissingError."""
        python = install(stage.data, self.steps, self.least_python)
        return [str(python), str(PROGRAMS / self.program), *args]

    def missing(self, stage: Stage) -> str | None:
        try:
            install(stage.data, self.steps, self.least_python)
        except WheelMissingError as error:
            return str(error)
        return None


STEADYBATCH_WHEEL = Wheel(["steadybatch[gemini]==0.2.1"], "run_steadybatch.py")
LITELLM_WHEEL = Wheel(["litellm==1.110.2"], "run_litellm.py")
# Without tokencost, which fetches its prices from the network when it is imported.
BATCHATA_WHEEL = Wheel(
    ["anthropic google-genai openai pydantic pypdf rich", "--no-deps batchata==0.4.7"],
    "run_batchata.py",
    (3, 12),
)


def _check(results: Results) -> Callable[[str], None]:
    return lambda text: expect("results", printed(text)["results"], results.lines)


def _steadybatch(stage: Stage, results: Results, folder: Path) -> Start:
    batch, checkpoint = stage.serve(results), str(folder / "job.sqlite")
    argv = STEADYBATCH_WHEEL.argv(stage, "register", checkpoint, batch, str(results.path))
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=PREPARE_TIMEOUT_S, check=False
    )
    if done.returncode:
        raise RunFailedError(f"steadybatch registers nothing: {done.stderr[-2000:]}")
    argv = STEADYBATCH_WHEEL.argv(stage, "collect", checkpoint, stage.gemini_url)
    return Start(argv, _check(results))


def _litellm(stage: Stage, results: Results, folder: Path) -> Start:
    requests, outputs = folder / "requests.jsonl", folder / "outputs"
    with requests.open("wb") as file:
        file.writelines(
            b'{"key":%s,"request":{"contents":[{"parts":[{"text":"Sum it up."}]}]}}\n'
            % json.dumps(key).encode()
            for key in _keys(results)
        )
    url = stage.download_url(stage.serve(results))
    argv = LITELLM_WHEEL.argv(stage, url, str(requests), str(outputs))
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    return Start(argv, _check(results), env)


def _batchata(stage: Stage, results: Results, folder: Path) -> Start:
    keys, outputs = folder / "keys.json", folder / "outputs"
    keys.write_text(json.dumps(_keys(results)))
    outputs.mkdir()
    batch = ready_batch(stage.gemini_url, output=_inline(results), notify=False)
    argv = BATCHATA_WHEEL.argv(stage, batch, str(keys), str(outputs))
    env = {"GOOGLE_API_KEY": "bench", "GOOGLE_GEMINI_BASE_URL": stage.gemini_url}
    return Start(argv, _check(results), env)


def _keys(results: Results) -> list[str]:
    with results.path.open("rb") as lines:
        return [json.loads(line)["key"] for line in lines]


def _inline(results: Results) -> dict[str, object]:
    """The same results as Gemini gives them to a batch of inlined requests."""
    with results.path.open("rb") as lines:
        rows = [json.loads(line) for line in lines]
    responses = [{"response": row["response"], "metadata": {"key": row["key"]}} for row in rows]
    return {"inlinedResponses": {"inlinedResponses": responses}}


def _peer(name: str, label: str, prepare: Prepare, wheel: Wheel) -> Subject:
    return Subject(name, label, prepare, wheel.missing)


STEADYBATCH = _peer("steadybatch", "steadybatch 0.2.1", _steadybatch, STEADYBATCH_WHEEL)
LITELLM = _peer("litellm", "litellm 1.110.2, line items", _litellm, LITELLM_WHEEL)
BATCHATA = _peer("batchata", "batchata 0.4.7", _batchata, BATCHATA_WHEEL)

PEERS = (
    Peer(
        OURS_BY_KEY,
        "downloads, validates and counts each line, a durable file per key, index and manifest",
        "what Gemini left out or changed itself; all else `verify` proves again from the storage",
    ),
    Peer(OURS, "the same, in a file per group", "as above"),
    Peer(
        NAIVE_BY_KEY,
        "the SDK downloads, `json.loads`, a file per key, one sync",
        "missing and repeated keys, cut downloads, failed and empty answers, usage, any digest",
    ),
    Peer(
        STEADYBATCH,
        "the SDK downloads to memory, checks off each key and the JSON of its text, text and tokens"
        " into SQLite, a commit per result",
        "the answer beside the first candidate's text, bytes of the source, repeated lines,"
        " cached and other tokens, cost; a bare U+2028 in an answer ends it",
    ),
    Peer(
        LITELLM,
        "downloads to memory, pairs each result with its request, usage and price of each, to"
        " files of 16 MiB that are not flushed",
        "missing and repeated keys, lines that are no JSON but for a warning, bytes of the source,"
        " what is on the disk after a crash",
    ),
    Peer(
        BATCHATA,
        "the SDK gets inlined responses, text and tokens of each by its position, a file per job"
        " that is not flushed; without its price list, which it fetches",
        "whose answer it is but for the order, missing ones, the rest of the answer, bytes of the"
        " source, what is on the disk after a crash",
    ),
)
