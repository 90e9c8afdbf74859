"""What the processes of one seed share."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from receiver.settings.settings import Settings
from tests.simulation.effects import Effects
from tests.simulation.http_wire import Network
from tests.simulation.redis_wire import Wire
from tests.simulation.scheduler import Scheduler, Task
from tests.simulation.storage import SimulatedStorage


@dataclass(frozen=True)
class ReceivedNotice:
    """A notice that reached its target."""

    id: str
    type: str
    batch: str
    data: dict[str, Any]


@dataclass
class State:
    """The parts of one seed, and what has come of them so far."""

    seed: int
    wire: Wire
    folder: Path  # of this seed alone, emptied at its begin
    say: Callable[[str], None] | None = None  # takes the lines of the trace
    generator: random.Random = field(init=False)
    scheduler: Scheduler = field(init=False)
    effects: Effects = field(init=False)
    storage: SimulatedStorage = field(init=False)
    network: Network = field(init=False)
    settings: Settings = field(init=False)
    is_over: bool = False
    idle: list[Task] = field(default_factory=list)  # workers without a job
    submitted: set[str] = field(default_factory=set)  # names of inputs
    notices: list[ReceivedNotice] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # seen on the way
    wiped_ns: int | None = None  # when Redis lost everything
