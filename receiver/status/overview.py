"""How things stand: the inbox, the processes, each project, and what needs attention."""

import msgspec

from receiver.gemini.webhook_reports import WebhookFault, WebProcess
from receiver.inbox.delivery_log import Delivery
from receiver.inbox.entry_fields import Standing
from receiver.inbox.live_workers import LiveWorker
from receiver.inbox.outages import Outage
from receiver.inbox.redis_health import RedisProblem
from receiver.notices.outbox import OutboxStatus
from receiver.notices.running_batches import RunningNow, RunningRow


class LeasedBatch(msgspec.Struct, frozen=True):
    """A batch that a worker is working on."""

    batch: str
    for_s: int
    worker: str | None  # None where RQ knows of none: it was killed, or took the batch just now


class BuriedBatch(msgspec.Struct, frozen=True):
    """A batch that nobody works on any more, until somebody retries it."""

    batch: str
    age_s: int
    attempts: int
    cause: str


class WaitingSubmission(msgspec.Struct, frozen=True):
    """A submission that has not ended."""

    submission: str  # its name in the inbox
    for_s: int
    cause: str  # what it waits for; empty where no worker has looked at it
    standing: Standing | None = None  # likewise, as of the worker's last look


class SubmissionCounts(msgspec.Struct, frozen=True):
    """The submissions of the inbox, by state."""

    open: int = 0
    due: int = 0  # of the open ones: a worker should look at them
    leased: int = 0
    buried: int = 0
    done: int = 0
    oldest: WaitingSubmission | None = None  # of the open and leased ones
    under_way: list[WaitingSubmission] = []  # the oldest of them, MAX_SHOWN at most


class ProjectStatus(msgspec.Struct, frozen=True):
    """One Gemini project: its last reconcile run, and its webhook as the web processes see it."""

    project: str  # empty for the default project
    began_s: int | None  # seconds since the last reconcile run began; None: there was none
    complete_s: int | None  # seconds since the last run that saw the whole list
    failed: bool  # the last run failed, or has not ended yet
    webhooks: list[WebhookFault] | None = None  # None: no web process could check
    is_registered: bool | None = None  # whether Gemini has a webhook for it; None: unknown
    has_secret: bool | None = None  # in every web process that serves it; None: there is none


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `status` prints as JSON."""

    now_ms: int  # Unix time by Redis' clock
    open: int
    due: int  # of the open ones: a worker should be working on them
    oldest_due_s: int | None
    leased: list[LeasedBatch]
    buried: int
    last_buried: list[BuriedBatch]
    done: int
    workers: list[LiveWorker]
    web: list[WebProcess]
    deliveries: list[Delivery]
    counters: dict[str, int]
    projects: list[ProjectStatus]
    running: list[RunningNow]  # at Gemini, by project, as of the last reconcile run
    notices: OutboxStatus
    redis: list[RedisProblem]
    dynamic: list[str]  # projects that get deliveries of dynamic webhooks
    outages: list[Outage]  # what holds up batches that are not at fault
    submissions: SubmissionCounts = SubmissionCounts()
    paused: dict[str, int] = {}  # projects that workers leave alone, and for how many seconds
    steps: list[str] = []  # next steps until batches arrive and are stored
    needs: list[str] = []  # problems that need attention, these steps among them
    unknown: list[str] = []  # what nobody can tell now, so it is neither well nor a problem
    notes: list[str] = []  # what is worth knowing, and no problem

    def find_running(self, batch: str) -> tuple[RunningRow, int] | None:
        """A batch as Gemini listed it, and how many seconds ago; None where it is not running."""
        rows = ((row, project.seen_s) for project in self.running for row in project.batches)
        return next((found for found in rows if found[0].batch == batch), None)

    @property
    def headline(self) -> str:
        """Everything in a few words."""
        match len(self.needs):
            case 0 if self.unknown:
                return "No problem is known, but not everything is known"
            case 0:
                return "All is well"
            case 1:
                return "1 problem needs attention"
            case count:
                return f"{count} problems need attention"
