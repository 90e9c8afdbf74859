"""The same batches without any fault: `python -m tests.chaos.clean_run < names`, in an environment of its own.

What it stores is what a storm must have stored, byte for byte.
"""

import os
import sys

from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import connect
from workers.process import process_batch


def main() -> None:
    names = sys.stdin.read().split()
    with connect(os.environ["REDIS_URL"]) as client:
        inbox = Inbox(client)
        for name in names:
            inbox.accept([Arrival(name, "batch.succeeded", "replay")])
            process_batch(name)


if __name__ == "__main__":
    main()
