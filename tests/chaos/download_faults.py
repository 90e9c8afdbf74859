"""Downloads through random faults at random bytes: `python -m tests.chaos.download_faults --runs 1000 --seed 1`.

Each run is one result file of random size, one random way to serve it and up to eight random faults. The download is
repeated as the inbox would repeat it, until it gives a file. That file must be one version of the source, whole: any
other result counts as corrupt. A run can be repeated alone by `--only <its number>`.
"""

import argparse
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace

from receiver.errors import GeminiError
from receiver.gemini.batches import Gemini
from tests.fault_proxy import Fault, FaultProxy, Kind, fault_proxy
from tests.result_server import Answer, AnswerFault, Framing, ResultServer, Seen, result_server
from workers.download.download import Download, DownloadPatience

MAX_FAULTS = 8
MAX_ATTEMPTS = 30  # of a whole download, as the inbox repeats it
SIZES = (0, 1, 900, 5_000, 66_000, 200_000, 500_000)
STATUSES = (408, 429, 500, 502, 503, 504)
KINDS: tuple[Kind, ...] = ("none", "reset", "close", "stall", "drip")
FRAMINGS: tuple[Framing, ...] = ("length", "length", "chunked", "close")
PATIENCE = DownloadPatience(
    tries=3, progress_bytes=2_000, stall_s=0.3, pause_s=0.001, max_pause_s=0.5, total_s=20
)


@dataclass
class Figures:
    """What happened in all runs together."""

    runs: int = 0
    complete: int = 0
    corrupt: list[str] = field(default_factory=list)
    stuck: list[str] = field(
        default_factory=list
    )  # gave no file within MAX_ATTEMPTS, or raised for good
    faults: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    parts: int = 0  # requests that went on in the middle
    repeats: int = 0  # downloads begun anew by the caller
    unproven: int = 0  # ends that two bodies without a length agreed on
    longest_s: float = 0.0  # of one download

    def table(self) -> str:
        rows = {
            "runs": self.runs,
            "complete and equal": self.complete,
            "corrupt": len(self.corrupt),
            "stuck": len(self.stuck),
            "requests": self.requests,
            "resumed in the middle": self.parts,
            "begun anew by the caller": self.repeats,
            "ends agreed on by two bodies": self.unproven,
            "longest download, s": f"{self.longest_s:.2f}",
            **{f"fault: {kind}": count for kind, count in sorted(self.faults.items())},
        }
        return "\n".join(f"{name:32}{value}" for name, value in rows.items())


def _make_content(rng: random.Random) -> bytes:
    size = rng.choice(SIZES)
    size += rng.randrange(size // 4 + 1)
    lines = b"".join(
        b'{"response":{"n":%d},"key":"k%d"}\n' % (rng.getrandbits(64), n)
        for n in range(size // 40 + 1)
    )
    return lines[:size] if rng.random() < 0.5 else lines


def _other_version(rng: random.Random, content: bytes) -> bytes:
    """Another file: of the same length, shorter, longer, or grown at its end."""
    turned = content.translate(bytes.maketrans(b"0123456789", b"1234567890"))
    length = len(content)
    return rng.choice(
        [turned, turned[: length // 2], turned + b'{"key":"new"}\n', content + b'{"key":"new"}\n']
    )


def _connection_fault(rng: random.Random, size_bytes: int) -> Fault:
    kind = rng.choices(KINDS, [2, 6, 6, 1, 1])[0]
    after_bytes = rng.randrange(300) if rng.random() < 0.2 else rng.randrange(size_bytes + 500)
    return Fault(kind, after_bytes)


def _refuse(rng: random.Random) -> AnswerFault:
    status, wait = rng.choice(STATUSES), rng.choice(["", "0", "1", "3600"])
    headers = {"retry-after": wait} if wait else {}
    return lambda _seen, _answer: Answer(status, headers, b'{"error":{"status":"BUSY"}}')


def _shift_range(rng: random.Random) -> AnswerFault:
    by = rng.choice([-1, 1, 4096])

    def shift(_seen: Seen, answer: Answer) -> Answer:
        text = answer.headers.get("content-range", "")
        start, dash, rest = text.removeprefix("bytes ").partition("-")
        if answer.status != 206 or not start.isdigit():
            return answer
        return replace(
            answer,
            headers={**answer.headers, "content-range": f"bytes {int(start) + by}{dash}{rest}"},
        )

    return shift


def _change(rng: random.Random, server: ResultServer, versions: list[bytes]) -> AnswerFault:
    def change(_seen: Seen, answer: Answer) -> Answer:
        server.content = _other_version(rng, server.content)
        versions.append(server.content)
        return answer

    return change


def _answer_fault(
    kind: str, rng: random.Random, server: ResultServer, versions: list[bytes]
) -> AnswerFault:
    if kind == "status":
        return _refuse(rng)
    if kind == "wrong range":
        return _shift_range(rng)
    if kind == "no range":
        return lambda _seen, answer: replace(
            answer, headers={**answer.headers, "content-range": ""}
        )
    if kind == "changed":
        return _change(rng, server, versions)
    return lambda _seen, answer: answer


def _plan(
    rng: random.Random, server: ResultServer, proxy: FaultProxy, versions: list[bytes]
) -> Counter[str]:
    """One way to serve the file, and what goes wrong on the way. The counter fills while faults happen."""
    happened = Counter[str]()

    def counted(kind: str, fault: AnswerFault) -> AnswerFault:
        def act(seen: Seen, answer: Answer) -> Answer:
            happened[kind] += 1
            return fault(seen, answer)

        return act

    server.reset(versions[0])
    server.ranges, server.etag = rng.random() < 0.7, rng.random() < 0.6
    server.framing = rng.choice(FRAMINGS)
    server.encoding = "gzip" if rng.random() < 0.15 else None
    for kind in rng.choices(
        ["none", "status", "wrong range", "no range", "changed"], [8, 3, 2, 1, 1], k=MAX_FAULTS
    ):
        server.faults.append(counted(kind, _answer_fault(kind, rng, server, versions)))
    proxy.reset(
        *[_connection_fault(rng, len(server.content)) for _ in range(rng.randrange(MAX_FAULTS))]
    )
    return happened


def _download(proxy: FaultProxy, figures: Figures) -> bytes | None:
    """What the worker would store; None after a lasting error or too many passing ones."""
    with Gemini(proxy.url, "key-of-the-test") as gemini:
        for _ in range(MAX_ATTEMPTS):
            download = Download(gemini, "files/batch-abc", patience=PATIENCE)
            began = time.monotonic()
            try:
                received = b"".join(download.chunks())
            except GeminiError as error:
                if not error.retryable:
                    return None
                figures.repeats += 1
            else:
                figures.unproven += not download.end_proven
                return received
            finally:
                figures.longest_s = max(figures.longest_s, time.monotonic() - began)
    return None


def run_one(name: str, server: ResultServer, proxy: FaultProxy, figures: Figures) -> None:
    """One run, repeatable by its name."""
    rng = random.Random(name)
    versions = [_make_content(rng)]
    happened = _plan(rng, server, proxy, versions)
    planned = list(proxy.plan)
    received = _download(proxy, figures)
    happened.update(fault.kind for fault in planned[: len(planned) - len(proxy.plan)])
    del happened["none"]
    figures.faults.update(happened)
    figures.runs += 1
    figures.requests += len(server.seen)
    figures.parts += sum(request.headers.get("range") is not None for request in server.seen)
    if received is None:
        figures.stuck.append(name)
    elif received in versions:
        figures.complete += 1
    else:
        figures.corrupt.append(name)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="the name of one run, as printed")
    options = parser.parse_args()
    names = (
        [options.only]
        if options.only
        else [f"{options.seed}-{number}" for number in range(options.runs)]
    )
    figures, began = Figures(), time.monotonic()
    with result_server(b"") as server, fault_proxy(server.port) as proxy:
        for name in names:
            run_one(name, server, proxy, figures)
    sys.stdout.write(f"{figures.table()}\n{'took, s':32}{time.monotonic() - began:.0f}\n")
    for what, found in (("corrupt", figures.corrupt), ("stuck", figures.stuck)):
        sys.stdout.writelines(f"{what}: --only {name}\n" for name in found)
    return 1 if figures.corrupt or figures.stuck else 0


if __name__ == "__main__":
    sys.exit(main())
