"""The two ledgers: that of the batches, and that of the submissions."""

from collections.abc import Sequence
from typing import NamedTuple

import redis

from receiver.batch_names import SubmissionName
from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import SUBMISSIONS


class Ledgers(NamedTuple):
    """Both of one Redis."""

    batches: Inbox
    submissions: Inbox

    def of(self, name: str) -> Inbox:
        """The ledger that a name in it belongs to."""
        return self.batches if SubmissionName.read(name) is None else self.submissions


def open_ledgers(client: "redis.Redis", targets: Sequence[str] = ()) -> Ledgers:
    """`targets` are as for `Inbox`."""
    return Ledgers(Inbox(client, targets), Inbox(client, targets, SUBMISSIONS))
