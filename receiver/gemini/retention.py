"""How long a batch's results live at Gemini, which Gemini says nowhere: see `RESULTS_LIVE_S`. Pure."""

from datetime import UTC, datetime

from receiver.retry import RESULTS_LIVE_S


def moment(unix_s: float) -> str:
    """RFC 3339 in UTC with microseconds, without the final Z: it compares with the moments that Gemini writes.

    >>> moment(1769083200.5)
    '2026-01-22T12:00:00.500000'
    """
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def has_outlived(ended: str | None, at_s: float) -> bool:
    """Whether a batch that ended then may have no results any more at a Unix time. An unknown end says nothing.

    >>> has_outlived("2026-01-20T11:59:00Z", 1769083200), has_outlived("2026-01-20T12:01:00Z", 1769083200)
    (True, False)
    """
    return ended is not None and ended < moment(at_s - RESULTS_LIVE_S)
