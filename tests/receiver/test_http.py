import os
import subprocess
import sys
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from receiver.http import MAX_RETRY_AFTER_S, retry_after_s
from tests.tls_proxy import make_certificates


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7.0), ("999999", 3600.0), ("soon", None), ("", None), ("-1", None)]
)
def test_retry_after_is_read(text: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": text}) == seconds


def test_retry_after_may_be_a_date() -> None:
    def date(offset_s: float) -> str:
        return formatdate(time.time() + offset_s, usegmt=True)

    soon = retry_after_s({"retry-after": date(60)})
    assert soon is not None
    assert 50 < soon <= 60
    assert retry_after_s({"retry-after": date(-60)}) == 0
    assert retry_after_s({"retry-after": date(10**6)}) == MAX_RETRY_AFTER_S


def test_the_command_line_of_httpx_is_not_loaded() -> None:
    code = "import sys, receiver.http; print(*{'rich', 'pygments'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []


def test_certificates_of_the_environment_are_not_read(tmp_path: Path) -> None:
    """A variable that somebody set for another program must not decide who may answer for Gemini."""
    ours = make_certificates(tmp_path).ca_file
    code = (
        "from receiver.http import trusted_certificates as read; print(len(read().get_ca_certs()))"
    )
    counts = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"SSL_CERT_FILE": str(file)} if file else None,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for file in (None, ours)
    ]
    assert counts[0] == counts[1] != "1\n"
