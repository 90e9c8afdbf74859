"""Gemini's limits on what is active at a time: tokens of a model, and batches."""

import asyncio

from deploy.sandbox.faults.faults import Faults
from deploy.sandbox.google_api import ApiError
from deploy.sandbox.jobs.tokens import count_file, count_requests
from deploy.sandbox.ledger import Batch, Ledger


class Quotas:
    def __init__(self, ledger: Ledger, faults: Faults) -> None:
        self._ledger, self._faults = ledger, faults

    async def count(self, batch: Batch) -> None:
        """Count the tokens of a new batch and of all active ones, if there is a limit on them."""
        if self._faults.enqueued_tokens is None:
            return
        for one in (*self._active(), batch):
            if one.tokens is None:
                one.tokens = await asyncio.to_thread(self._tokens_of, one)

    def require_room(self, batch: Batch) -> None:
        """Raise ApiError 429 unless a new batch may become active now."""
        active, faults = self._active(), self._faults
        if faults.active_batches is not None and len(active) >= faults.active_batches:
            raise ApiError(
                429,
                "You exceeded your current quota: "
                f"at most {faults.active_batches} batches may be active at a time.",
            )

        limit = faults.enqueued_tokens
        enqueued = sum(one.tokens or 0 for one in active if one.model == batch.model)
        if limit is not None and enqueued + (batch.tokens or 0) > limit:
            raise ApiError(
                429,
                f"You exceeded your current quota: {limit} tokens of {batch.model} may be enqueued,"
                f" {enqueued} are, and this batch has {batch.tokens}.",
            )

    def _active(self) -> list[Batch]:
        return [one for one in self._ledger.batches.values() if not one.state.is_terminal]

    def _tokens_of(self, batch: Batch) -> int:
        if batch.input_file is None:
            return count_requests(entry.get("request") for entry in batch.requests)
        stored = self._ledger.files.get(batch.input_file.removeprefix("files/"))
        return 0 if stored is None else count_file(stored.path)
