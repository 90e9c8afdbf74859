"""The rules of the second ledger: commands that submit, workers that advance, batches that end."""

from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import rule

from receiver.inbox.entry_fields import Summary
from receiver.inbox.ledger import Arrival, Lease, Reopen, Source
from receiver.retry import Counter
from tests.model.machine import AGES, LOST, PROJECTS, nth_newest
from tests.model.rules import (
    BATCHES,
    CAUSES,
    COUNTERS,
    DELAYS_S,
    NOTICES,
    SENDERS,
    SUBMISSION,
    BatchRules,
)

NAMES = SENDERS.filter(bool)
WHOSE = st.one_of(NAMES, NAMES, AGES)
NOBODY = Lease(SUBMISSION, "0", 0, 0, {})
SUMMARY = Summary(state="completed", outcomes={"ok": 3})


class SubmissionRules(BatchRules):
    """Its names are those that a batch's end may wake."""

    @rule(name=NAMES, source=st.sampled_from(["submit", "reconcile"]), lost=LOST)
    def submit(self, name: str, source: Source, *, lost: bool) -> None:
        reopen: Reopen = "all" if source == "submit" else "done"
        arrival = Arrival(name, "submission", source, reopen=reopen)
        self.do(lambda: self.submissions.accept([arrival]), lost=lost)

    @rule(name=NAMES)
    def claim_submission(self, name: str) -> None:
        self.take_submission(name)

    def take_submission(self, name: str) -> Lease | None:
        lease = self.submissions.claim(name)
        self.submission_leases += [lease] if lease else []
        return lease

    def submission_lease(self, whose: str | int) -> Lease:
        """One that is held on this submission if that can be, or the nth newest, held or not."""
        if isinstance(whose, int):
            return nth_newest(self.submission_leases, whose) or NOBODY
        entry = self.model.submissions.entries.get(whose)
        held = [one for one in self.submission_leases if entry and entry.is_held_by(one.token)]
        if held:
            return held[0]
        self.submissions.accept([Arrival(whose, "submission", "submit", reopen="all")])
        return self.take_submission(whose) or NOBODY

    @rule(whose=WHOSE, delay_s=DELAYS_S, cause=CAUSES, lost=LOST)
    def rest(self, whose: str | int, delay_s: float, cause: str, *, lost: bool) -> None:
        lease = self.submission_lease(whose)
        self.do(lambda: self.submissions.rest(lease, delay_s, cause), lost=lost)

    @rule(whose=WHOSE, delay_s=DELAYS_S, cause=CAUSES, lost=LOST)
    def look_again(self, whose: str | int, delay_s: float, cause: str, *, lost: bool) -> None:
        lease = self.submission_lease(whose)
        self.do(lambda: self.submissions.look_again(lease, delay_s, cause), lost=lost)

    @rule(whose=WHOSE, delay_s=DELAYS_S, cause=CAUSES, counter=COUNTERS, lost=LOST)
    def postpone_submission(
        self, whose: str | int, delay_s: float, cause: str, counter: Counter, *, lost: bool
    ) -> None:
        lease = self.submission_lease(whose)
        self.do(lambda: self.submissions.postpone(lease, delay_s, cause, counter), lost=lost)

    @rule(name=NAMES, counter=COUNTERS, delay_s=DELAYS_S)
    def rest_after_a_fault(self, name: str, counter: Counter, delay_s: float) -> None:
        for hand_back in (
            lambda lease: self.submissions.postpone(lease, 0, "no", counter),
            lambda lease: self.submissions.rest(lease, delay_s, "it waits"),
        ):
            lease = self.submission_lease(name)
            self.do(partial(hand_back, lease), lost=False)

    @rule(whose=WHOSE, notice=NOTICES, lost=LOST)
    def finish_submission(
        self, whose: str | int, notice: tuple[str, str] | None, *, lost: bool
    ) -> None:
        lease = self.submission_lease(whose)
        self.do(lambda: self.submissions.finish(lease, SUMMARY, notice), lost=lost)

    @rule(name=NAMES, is_told=st.booleans(), batch=st.sampled_from(["batches/a", "batches/b"]))
    def finish_while_something_comes(self, name: str, batch: str, *, is_told: bool) -> None:
        """A person says more, or a batch ends, while the job that ends the submission works."""
        lease = self.submission_lease(name)
        if is_told:
            self.submissions.accept([Arrival(name, "submission", "submit", reopen="all")])
        self.inbox.finish(self.lease(batch), Summary(), None, name)
        self.do(lambda: self.submissions.finish(lease, SUMMARY, None), lost=False)

    @rule(whose=WHOSE, cause=CAUSES, lost=LOST)
    def bury_submission(self, whose: str | int, cause: str, *, lost: bool) -> None:
        lease = self.submission_lease(whose)
        self.do(lambda: self.submissions.bury(lease, cause), lost=lost)

    @rule(whose=WHOSE, lost=LOST)
    def renew_submission(self, whose: str | int, *, lost: bool) -> None:
        lease = self.submission_lease(whose)
        self.do(lambda: self.submissions.renew(lease), lost=lost)

    @rule(most=st.integers(0, 3))
    def sweep_submissions(self, most: int) -> None:
        self.submissions.take_due(most)

    @rule(
        projects=st.lists(st.sampled_from(PROJECTS), min_size=1, max_size=2),
        steps=st.lists(st.one_of(BATCHES, NAMES, st.integers(0, 3)), max_size=5),
        lost=LOST,
    )
    def work_while_paused(self, projects: list[str], steps: list[str | int], *, lost: bool) -> None:
        """Jobs and sweeps come by meanwhile; afterwards all goes on, but for what has to wait."""
        self.do(lambda: self.paused.pause(projects), lost=lost)
        for step in steps:
            if isinstance(step, int):
                self.inbox.take_due(step)
                self.submissions.take_due(step)
            elif "batches" in step:
                self.take(step)
            else:
                self.take_submission(step)
        self.do(lambda: self.paused.resume([*projects, PROJECTS[0]]), lost=lost)
        self.paused.resume(PROJECTS)
