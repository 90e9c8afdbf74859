"""Whether the ledger's model refuses a mutant of a script, at the price of a few calls of Redis.

The model's state machine runs once, by a fixed seed, and what it sends to Redis is written down
with each reply and a digest of all that Redis held then. The model accepts one reply and one state
of each call. So a mutant that gives another, when the same is sent again, is one that it refuses.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis
from redis.commands.core import Script

from receiver.inbox.redis import read_script
from tests.model.clocked import NAMES, ClockedRedis, ClockedScript
from tests.model.model import SCRIPTS
from tests.model.redis_state import DUMP, read_dump
from tests.model.running import EXAMPLES, run, running_client
from tests.mutation.running import ROOT
from tests.stepped_clock import CLOCK

SEED = 1
WRITES = ("FLUSHALL", "SET", "EVAL")
PRELUDE = (ROOT / "receiver/inbox/lua/prelude.lua").read_text()


@dataclass
class SentCommand:
    """A command that the machine sent."""

    command: tuple[Any, ...]
    script: str = ""  # its name, where it is one of ours
    reply: object = None
    digest: str = ""  # of what Redis held then


Transcript = Sequence[
    Sequence[SentCommand]
]  # of examples, each of which begins with an empty Redis


class RecordingRedis(ClockedRedis):
    """Writes down what it sends."""

    def __init__(self, client: ClockedRedis) -> None:
        super().__init__(connection_pool=client.connection_pool)
        self.edit = str
        self.examples: list[list[SentCommand]] = []
        self._names: dict[str, str] = {}  # by sha1

    def register_script(self, script: Any) -> Script:
        found = super().register_script(script)
        if isinstance(found, ClockedScript):
            self._names[found.sha] = NAMES[script]
        return found

    def execute_command(self, *command: Any, **options: Any) -> Any:
        send: Any = super().execute_command
        reply = send(*command, **options)
        if command[:2] == ("EVAL", DUMP):
            self.examples[-1][-1].digest = digest(reply)
        elif command[0] == "FLUSHALL":
            self.examples.append([SentCommand(command)])
        elif command[0] in WRITES or (command[1:2] and command[1] in self._names):
            self.examples[-1].append(SentCommand(command, self._names.get(command[1], ""), reply))
        return reply


def digest(dumped: Any) -> str:
    """Of what stands in Redis, whatever its order."""
    state = {key: (stored.value, stored.expires_ms) for key, stored in read_dump(dumped).items()}
    words = json.dumps(state, sort_keys=True, default=sorted)
    return hashlib.sha1(words.encode(errors="surrogateescape")).hexdigest()


def record(examples: int = EXAMPLES) -> Transcript:
    """What a run of the model sends, and what came of it."""
    with running_client() as client:
        recorder = RecordingRedis(client)
        run(recorder, SEED, examples)
        return recorder.examples


class TranscriptPlayer:
    """A Valkey to which a transcript is sent again."""

    def __init__(self, client: ClockedRedis, transcript: Transcript) -> None:
        self._client, self._transcript = client, transcript
        self._dump = client.script_load(DUMP)
        for name in SCRIPTS:
            client.script_load(CLOCK + read_script(name))

    def accepts(self, script: str, text: str) -> bool:
        """Whether all is as it was with this text of a script, or of the prelude."""
        try:
            shas = self._load(script, text)
            return all(self._is_same(example, shas) for example in self._transcript)
        except redis.ResponseError:  # it is no Lua
            return False

    def _load(self, script: str, text: str) -> dict[str, str]:
        """The sha1 by name of each script that is another now."""
        if script not in {"prelude", *SCRIPTS}:
            return {}
        if script == "prelude":
            texts = {name: text + read_script(name).removeprefix(PRELUDE) for name in SCRIPTS}
        else:
            texts = {script: PRELUDE + text}
        return {name: self._client.script_load(CLOCK + whole) for name, whole in texts.items()}

    def _is_same(self, example: Sequence[SentCommand], shas: dict[str, str]) -> bool:
        pipeline: Any = self._client.pipeline(transaction=False)
        expected = list[SentCommand | None]()
        last = max((at for at, step in enumerate(example) if step.script in shas), default=0)
        for step in example[: last + 1]:
            if step.script in shas:
                name, _, *rest = step.command
                pipeline.execute_command(name, shas[step.script], *rest)
                pipeline.execute_command("EVALSHA", self._dump, 0)
                expected += [step, None]
            else:
                pipeline.execute_command(*step.command)
                expected.append(None)
        replies = pipeline.execute(raise_on_error=False)
        return all(
            step is None or (step.reply == reply and step.digest == digest(dumped))
            for step, reply, dumped in zip(expected, replies, [*replies[1:], None], strict=True)
        )
