from collections.abc import Iterator

import pytest

from receiver.notices.payloads import Message
from receiver.settings.notice_targets import NoticeSettings, Target, make_target
from tests.notice_receiver import Receiver, receiving
from tests.receiver.forging import SECRET

BATCH = "batches/b1"
STORED = Message("results.stored", {"complete": True})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def target(receiver: Receiver) -> Target:
    return make_target("webhook", receiver.url, (SECRET,))


def notice_settings(*targets: Target, base_s: float = 5.0) -> NoticeSettings:
    return NoticeSettings(targets, private=True, retry_base_s=base_s)
