"""Checks an input, and finds out what it may cost, as well as what is known allows."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from receiver.errors import StorageError
from receiver.gemini.batches import Gemini
from receiver.inbox.redis import connect
from receiver.outputs.prices import default_prices
from receiver.settings.limits import DEFAULT_LIMITS
from receiver.settings.settings import Settings
from receiver.storage import open_storage
from receiver.submissions.gauges import Gauge, assume_rates, prices_around
from receiver.submissions.output_history import NO_HISTORY, AnswerTokens, find_answer_tokens
from receiver.submissions.planning import SubmitRequest, check_input
from receiver.submissions.splitting import SplitInput
from receiver.submissions.token_counts import fetch_rates


def weigh_input(
    settings: Settings | None,
    path: Path,
    request: SubmitRequest,
    on_progress: Callable[[int], None] = lambda _: None,
) -> SplitInput:
    """Read an input and split it, with an estimate of what it costs.

    Gemini is asked about the tokens of the input, and our own batches about those of answers. Where
    one of them can't be asked, or without settings, assumptions and bounds take the place, and the
    estimate says so. Raises SubmissionError, like `check_input`.
    """
    limits = DEFAULT_LIMITS if settings is None else settings.project(request.project).limits
    gauge = _make_gauge(settings, path, request)
    return check_input(path, request, on_progress, gauge, limits.enqueue_limit(request.model))


def _make_gauge(settings: Settings | None, path: Path, request: SubmitRequest) -> Gauge:
    today = datetime.now(UTC).date()
    if settings is None:
        prices = prices_around(default_prices(), request.model, today)
        return Gauge(request.kind, assume_rates(), prices)
    answers = _find_answer_tokens(settings, request)
    api_key = settings.project(request.project).api_key
    with Gemini(settings.base_url, api_key, settings.api_version) as gemini:
        rates, doubt = fetch_rates(gemini.transport, path, request.kind, request.model, answers)
    prices = prices_around(settings.prices, request.model, today)
    return Gauge(request.kind, rates, prices, [doubt] if doubt else [])


def _find_answer_tokens(settings: Settings, request: SubmitRequest) -> AnswerTokens:
    if request.kind == "embed":
        return NO_HISTORY
    try:
        storage = open_storage(settings.storage_url)
    except StorageError:  # whoever needs it says so
        return NO_HISTORY
    with connect(settings.redis_url) as client:
        return find_answer_tokens(client, storage, request.model)
