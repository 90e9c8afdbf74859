"""Three hosts of workers on one Redis, bucket and source: they add up, restart in turn, and may vanish."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import redis

from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import connect
from tests.bench.tables import draw
from tests.chaos.batches import attempts_of, ledger
from tests.chaos.narrow_source import narrow_source
from tests.chaos.networks import CUTS, Host, own_network
from tests.chaos.report import Options, Report
from tests.chaos.system import Process, System, children_of, running_system
from tests.object_server.running import ObjectServer, running_object_server
from tests.procfile import procfile_argv, with_path
from tests.running import ready_batch
from tests.waiting import eventually

HOSTS = 3
ROWS, ROW_BYTES = 50, 4000
DOWNLOAD_S, SHORT_DOWNLOAD_S = 2.0, 1.0  # of one batch, on a line of its own
WIDTH = 2.5  # lines that the source can fill at once
FINISHED_S = 30.0
STORED_S = 120


@dataclass
class Cluster:
    """Hosts with a worker or more each; all else runs in this process' network."""

    system: System
    bucket: ObjectServer
    gemini_url: str  # the narrow way to it
    hosts: list[Host]
    workers: dict[str, list[Process]] = field(default_factory=dict)  # by host

    def start_worker(self, host: Host) -> Process:
        env = with_path(self.system.environment | {"GEMINI_BASE_URL": self.gemini_url})
        worker = host.start(procfile_argv("worker"), env, self.system.folder / f"{host.name}.log")
        before = self.count_workers()
        self.workers.setdefault(host.name, []).append(worker)
        self.system.workers.append(worker)  # so that it ends with the system
        eventually(lambda: self.count_workers() > before, 30, f"a worker on {host.name}")
        return worker

    def stop_worker(self, host: Host) -> None:
        worker = self.workers[host.name].pop()
        worker.terminate()
        worker.wait(10)

    def count_workers(self) -> int:
        with redis.Redis.from_url(self.system.redis_url) as client:
            return int(client.scard("rq:workers"))

    def add(self, count: int) -> list[str]:
        source = self.system.folder / "results.jsonl"
        row = '{{"key":"k{}","response":{{"candidates":[],"pad":"{}"}}}}\n'
        source.write_text("".join(row.format(number, "x" * ROW_BYTES) for number in range(ROWS)))
        about = {"result_path": str(source), "request_count": ROWS}
        return [ready_batch(self.system.gemini_url, **about) for _ in range(count)]

    def is_stored(self, name: str) -> bool:
        return self.bucket.holds(f"{name.removeprefix('batches/')}/_manifest.json")

    def wait(self, names: Sequence[str], timeout_s: float = STORED_S) -> float:
        """Seconds until all are stored."""
        begun = time.monotonic()
        eventually(lambda: all(map(self.is_stored, names)), timeout_s, "the last manifest")
        return time.monotonic() - begun

    def holder_of(self, name: str) -> Host:
        """The host that works on the batch, once it does; all others must be idle."""
        with connect(self.system.redis_url) as client:
            inbox = Inbox(client)
            eventually(
                lambda: any(one.state == "leased" for one in inbox.entries([name]).values()),
                30,
                "the lease",
            )
        (host,) = (
            host
            for host in self.hosts
            if any(children_of(one.pid) for one in self.workers[host.name])
        )
        return host

    def ends(self, name: str) -> int:
        """How often a worker of any host says that it stored the batch."""
        lines = [line for host in self.hosts for line in self.system.log_of(host.name)]
        return sum(
            line.get("event") == "batch.stored" and line.get("batch") == name for line in lines
        )

    def judge(self, report: Report) -> None:
        """Nothing lost, nothing stored twice, each object as its manifest says."""
        names = [one["name"] for one in ledger(self.system)["batches"]]
        with connect(self.system.redis_url) as client:
            inbox = Inbox(client)
            eventually(
                lambda: all(one.state == "done" for one in inbox.entries(names).values()),
                20,
                "the last end",
            )
        lost = sum(not self.is_stored(name) for name in names)
        twice = sum(self.ends(name) != 1 for name in names)
        proven = self.system.command("verify", *names)
        report.note(batches=len(names), lost=lost, twice=twice)
        report.hold("nothing is lost", not lost)
        report.hold("each is stored by one worker, once", not twice)
        report.hold(f"all is proven: {proven.stdout[-500:]}", proven.returncode == 0)


@contextmanager
def running_cluster(options: Options, download_s: float = SHORT_DOWNLOAD_S) -> Iterator[Cluster]:
    """A web process and everything else here, and HOSTS hosts without workers."""
    size = ROWS * (ROW_BYTES + 50)
    with own_network(), running_object_server() as bucket:
        settings = {"STORAGE_URL": "s3://bucket"} | bucket.environment()
        why = "the hosts come by another address"
        running = running_system(options.folder, options.seed, settings=settings, unrecorded=why)
        with running as system:
            with redis.Redis.from_url(system.redis_url) as client:
                client.config_set("protected-mode", "no")  # the hosts have addresses of their own
            port = int(system.gemini_url.rpartition(":")[2])
            with narrow_source(port, size / download_s, WIDTH * size / download_s) as source:
                hosts = [Host.add(number) for number in range(1, HOSTS + 1)]
                yield Cluster(system, bucket, source.url, hosts)
                for host in hosts:
                    host.keeper.kill()
                    host.keeper.wait()


def hosts(options: Options) -> Report:
    """Throughput of one, two and three hosts, and of more workers than the source can feed; restarts one by one."""
    report = Report("hosts", options.seed)
    each, download_s = options.size(8, 4), SHORT_DOWNLOAD_S if options.short else DOWNLOAD_S
    with running_cluster(options, download_s) as cluster:
        rates = []
        for host in cluster.hosts if options.short else [*cluster.hosts, *cluster.hosts]:
            cluster.start_worker(host)
            names = cluster.add(each * len(cluster.system.workers))
            rates.append(len(names) / cluster.wait(names))
        _judge_growth(report, rates, WIDTH / download_s)
        for host in cluster.hosts:
            cluster.add(each)
            cluster.stop_worker(host)
            cluster.start_worker(host)
        assert cluster.system.web is not None
        cluster.system.web.terminate()
        cluster.system.web.wait(10)
        cluster.add(each)
        cluster.system.start_web()
        names = [one["name"] for one in ledger(cluster.system)["batches"]]
        cluster.wait(names)
        cluster.judge(report)
        counted = attempts_of(cluster.system, names)
    report.note(attempts_counted=counted)
    report.hold("no restart counts an attempt", counted == 0)
    return report


def _judge_growth(report: Report, rates: list[float], limit: float) -> None:
    workers = range(1, len(rates) + 1)
    table = [
        [f"{min(n, HOSTS)} / {n}", f"{rate:.2f}", f"{rate / rates[0]:.2f}", f"{rate / limit:.0%}"]
        for n, rate in zip(workers, rates, strict=True)
    ]
    report.table = draw(
        ("hosts / workers", "batches/s", "ratio to one", "of the source's limit"), table
    )
    report.note(
        two_hosts=f"{rates[1] / rates[0]:.2f} times one",
        three=f"{rates[2] / rates[0]:.2f} times one",
    )
    report.note(of_the_source=f"{max(rates) / limit:.0%}")
    report.hold_time("two hosts do nearly twice as much", rates[1] / rates[0] >= 1.6)
    report.hold_time("three come near the source's limit", rates[2] / limit >= 0.7)


def cut_host(options: Options) -> Report:
    """A host is cut off in the middle of a job, with nobody told; later it comes back."""
    report = Report("host cut off", options.seed)
    with running_cluster(options) as cluster:
        for host in cluster.hosts:
            cluster.start_worker(host)
        for what in ("dropped packets",) if options.short else CUTS:
            cut, mend = CUTS[what]
            names = cluster.add(1)
            held_by = cluster.holder_of(names[0])
            cut(held_by)
            names += cluster.add(
                6
            )  # one of them may be swallowed by a dequeue that nobody answers any more
            seconds = cluster.wait(names, 2 * FINISHED_S)
            mend(held_by)
            report.note(**{f"{what}_cut": f"all done after {seconds:.1f} s"})
            report.hold_time(f"{what}: done within {FINISHED_S:.0f} s", seconds <= FINISHED_S)
            report.hold(
                f"{what}: in the middle of a job", attempts_of(cluster.system, names[:1]) == 1
            )
            others = [host for host in cluster.hosts if host is not held_by]
            for host in others:
                cluster.stop_worker(host)
            seconds = cluster.wait(cluster.add(1), 2 * FINISHED_S)
            report.note(**{f"{what}_back": f"at work after {seconds:.1f} s"})
            report.hold_time(
                f"{what}: back at work within {FINISHED_S:.0f} s", seconds <= FINISHED_S
            )
            for host in others:
                cluster.start_worker(host)
        cluster.judge(report)
    return report
