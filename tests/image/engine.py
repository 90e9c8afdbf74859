"""A container engine of our own: its data, its socket and its process end with the run."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.sandbox.processes import start, stop
from tests.waiting import eventually

PROGRAMS = ("dockerd", "docker", "debootstrap")
REMEDY = "as root on Debian: apt-get install docker.io debootstrap"
START_S = 60
# Nothing of the machine's own network is touched, so it also runs inside of a container or VM.
PLAIN = ("--bridge", "none", "--iptables=false")
# The builder that needs no plugin, and reads .dockerignore alone.
ENVIRONMENT = {"DOCKER_BUILDKIT": "0", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"}


@dataclass(frozen=True)
class Done:
    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Engine:
    socket: Path

    def argv(self, *args: str) -> list[str]:
        return ["docker", "--host", f"unix://{self.socket}", *args]

    def attempt(self, *args: str, stdin: str = "", timeout_s: float = 600) -> Done:
        done = subprocess.run(
            self.argv(*args),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env=ENVIRONMENT,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def run(self, *args: str, stdin: str = "", timeout_s: float = 600) -> str:
        """What the command prints. Raises RuntimeError with all that it said if it fails."""
        done = self.attempt(*args, stdin=stdin, timeout_s=timeout_s)
        if done.code != 0:
            said = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            raise RuntimeError(f"docker {' '.join(args)} ended with {done.code}:\n{said}")
        return done.stdout.strip()

    def inspect(self, name: str, field: str) -> str:
        return self.run("inspect", "--format", f"{{{{{field}}}}}", name)


def missing(programs: Sequence[str] = PROGRAMS) -> list[str]:
    """Which programs are not on the path."""
    return [name for name in programs if shutil.which(name) is None]


@contextmanager
def running_engine(folder: Path) -> Iterator[Engine]:
    """`dockerd` for the length of a `with`; it stops its containers at the end."""
    engine = Engine(folder / "docker.sock")
    argv = ["dockerd", "--host", f"unix://{engine.socket}", *PLAIN]
    argv += ["--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")]
    argv += ["--pidfile", str(folder / "docker.pid")]
    with (folder / "dockerd.log").open("ab") as log:
        process = start(argv, stdout=log)
    try:
        eventually(lambda: engine.attempt("version").code == 0, START_S, f"{folder}/dockerd.log")
        yield engine
    finally:
        names = engine.attempt("ps", "--all", "--quiet").stdout.split()
        engine.attempt("rm", "--force", "--volumes", *names)
        stop(process, timeout_s=60)
