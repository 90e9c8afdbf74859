import signal
import subprocess
import sys

import pytest

from workers.worker.child_process import explain_death


@pytest.mark.parametrize(
    ("wait_status", "said"),
    [
        (signal.SIGKILL, "the process of its job was killed by SIGKILL: out of memory?"),
        (signal.SIGSEGV, "the process of its job was killed by SIGSEGV"),
        (3 << 8, "the process of its job ended with exit code 3"),
    ],
)
def test_death_has_a_cause(wait_status: int, said: str) -> None:
    assert explain_death(wait_status) == said


def run(script: str) -> str:
    """In a process of its own: the flags to stop are never cleared."""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    return result.stdout.strip()


def test_time_limit_only_sets_a_flag() -> None:
    script = """
import time
from rq.timeouts import JobTimeoutException
from workers.worker.child_process import FlagAtTimeout
from workers.job.shared_memory import is_out_of_time
with FlagAtTimeout(1, JobTimeoutException):
    while not is_out_of_time():
        time.sleep(0.01)
print("reached")
"""
    assert run(script) == "reached"


def test_monitor_still_gets_its_exception() -> None:
    script = """
import time
from rq.timeouts import HorseMonitorTimeoutException
from workers.worker.child_process import FlagAtTimeout
try:
    with FlagAtTimeout(1, HorseMonitorTimeoutException):
        time.sleep(30)
except HorseMonitorTimeoutException:
    print("raised")
"""
    assert run(script) == "raised"


def test_orphan_ends_at_once() -> None:
    script = """
import os
from workers.worker.child_process import prepare_child
if os.fork() == 0:
    prepare_child(parent_pid=1 << 30)
    print("survived", flush=True)
else:
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert run(script) == "1"


def test_children_inherit_what_every_job_reads() -> None:
    script = """
import gc, os
os.environ |= {"GEMINI_API_KEY": "k", "REDIS_URL": "redis://127.0.0.1:1/0", "STORAGE_URL": "file:///tmp"}
from receiver.http import trusted_certificates
from workers.job.context import current_settings
from workers.worker.child_process import prepare_forks
prepare_forks()
print(trusted_certificates.cache_info().currsize, current_settings.cache_info().currsize, gc.get_freeze_count() > 0)
"""
    assert run(script) == "1 1 True"


@pytest.mark.parametrize("proof_key", ["", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="])
def test_parent_loads_what_its_jobs_need_and_no_more(proof_key: str) -> None:
    """Each child would load it anew; what no job needs takes memory all the same."""
    settings = {
        "GEMINI_API_KEY": "k",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "STORAGE_URL": "file:///tmp",
        "PROOF_KEY": proof_key,
    }
    script = f"""
import os, sys
os.environ |= {settings}
import workers.worker.main
from receiver.storage import open_storage
from workers.job.context import current_settings
from workers.worker.child_process import prepare_forks
open_storage(current_settings().storage_url)
prepare_forks()
print("cryptography.hazmat.primitives.asymmetric.ed25519" in sys.modules)
print({{"obstore", "workers.submissions"}} & set(sys.modules))
"""
    assert run(script).split() == [str(bool(proof_key)), "set()"]
