"""The packed records, with and without the optional compressor."""

import gzip
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tests.programs import require, require_module
from workers.store.records import GzipWriter

CONTENT = b"".join(
    b'{"line":%d,"sha256":"%s"}\n' % (number, sha256(b"%d" % number).hexdigest().encode())
    for number in range(20_000)
)
WRITE = """
import sys
if sys.argv[3] == "zlib":
    sys.modules["isal"] = None  # its import fails, as where it has no wheel
from pathlib import Path
from workers.store.records import GzipWriter, compressobj
assert compressobj.__module__.partition(".")[0] == sys.argv[3], compressobj.__module__
source, writer, size = sys.stdin.buffer, GzipWriter(Path(sys.argv[1])), int(sys.argv[2])
while piece := source.read(size):
    writer.write(piece)
print(writer.finish())
"""


def write(path: Path, compressor: str, size: int = 4096) -> str:
    """Write CONTENT in pieces of that size, in a process of its own. Returns what it prints."""
    argv = [sys.executable, "-c", WRITE, str(path), str(size), compressor]
    done = subprocess.run(argv, input=CONTENT, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


@pytest.fixture(params=["isal", "zlib"])
def compressor(request: pytest.FixtureRequest) -> str:
    if request.param == "isal":
        require_module("isal")
    return str(request.param)


def test_everybody_can_unpack_it(tmp_path: Path, compressor: str) -> None:
    require("gzip")
    path = tmp_path / "index.gz"
    assert write(path, compressor) == sha256(path.read_bytes()).hexdigest()
    assert gzip.decompress(path.read_bytes()) == CONTENT
    subprocess.run(["gzip", "-t", str(path)], timeout=60, check=True)
    assert path.stat().st_size < len(CONTENT) / 1.5


def test_its_bytes_depend_on_its_content_alone(tmp_path: Path, compressor: str) -> None:
    paths = [tmp_path / f"{size}.gz" for size in (100, 8191, 500_000, len(CONTENT))]
    assert len({write(path, compressor, int(path.stem)) for path in paths}) == 1


def test_nothing_is_packed_too(tmp_path: Path) -> None:
    writer = GzipWriter(tmp_path / "empty.gz")
    writer.finish()
    assert gzip.decompress(writer.path.read_bytes()) == b""
