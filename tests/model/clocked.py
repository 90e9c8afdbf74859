"""A client whose scripts run on a real Valkey by a clock that the test sets.

`tests.stepped_clock` says how the text of a script runs as it is in the product. Other seams were
worse. A key that holds the clock would be one more key in the state that is
compared, and gone after a wipe. To age what is stored by moving times back needs to know every
field that is a time: the very knowledge that is under test. `faketime` is not everywhere, and
stops or steps no clock at a millisecond. That the server's own clock does the same is what the
traces of `tests.chaos` show: there TIME and the times to live are real.
"""

from collections.abc import Callable, Iterable
from typing import Any

import redis
from redis.commands.core import Script

from receiver.inbox.redis import read_script
from tests.model.calls import Call, readable
from tests.model.model import SCRIPTS
from tests.model.redis_state import text
from tests.stepped_clock import CLOCK, EXPIRE, START_MS

NAMES = {read_script(name): name for name in SCRIPTS}  # without the probe, which needs no clock
Edit = Callable[[str], str]  # of a script's text: how a fault is planted


class ClockedRedis(redis.Redis):
    """Tells `on_call` of each call of a script, once it has run."""

    now_ms: int = START_MS
    on_call: Callable[[Call], None]
    edit: Edit
    loses_reply: bool = False  # of the next script: it runs, and nobody hears what it said

    def register_script(self, script: Any) -> Script:
        return ClockedScript(self, script) if script in NAMES else Script(self, script)

    def time(self, **_: Any) -> tuple[int, int]:
        return self.now_ms // 1000, self.now_ms % 1000 * 1000

    def set_clock(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.eval(EXPIRE, 0, now_ms)


class ClockedScript(Script):
    """A script of the product with the clock before it."""

    def __init__(self, client: ClockedRedis, script: str) -> None:
        self._clocked, self._name = client, NAMES[script]
        super().__init__(client, CLOCK + client.edit(script))

    def __call__(self, keys: Any = None, args: Iterable[Any] | None = None, _: Any = None) -> Any:
        told, keys = tuple(args or ()), tuple(keys or ())
        client = self._clocked
        reply = super().__call__(keys, (*told, client.now_ms))
        words = tuple(text(one) if isinstance(one, bytes) else str(one) for one in told)
        client.on_call(Call(self._name, keys, words, client.now_ms, readable(reply)))
        if client.loses_reply:
            client.loses_reply = False
            raise redis.ConnectionError("the reply was lost")
        return reply


def clocked_client(url: str, edit: Edit = str) -> ClockedRedis:
    client = ClockedRedis.from_url(url)
    assert isinstance(client, ClockedRedis)
    client.edit = edit
    return client
