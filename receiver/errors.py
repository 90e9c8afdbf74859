"""Every error that this project raises on purpose, in one tree; a few never leave their file.

A caller needs one `except ReceiverError`. `retryable` says whether the same call may succeed
later by itself, and `fault` whose fault it is: `receiver.retry` decides by that how long a batch
waits.
"""

from collections.abc import Sequence
from typing import Literal

# batch: of the batch itself, or of our own program; the same happens at each attempt.
# outside: of Gemini, the network, the storage, the credentials or the settings; it hits every
#     batch, and passes.
# refused: Gemini answered that there is no such thing; it is believed when it says so for long.
# expired: likewise, of results so old that Gemini need not have them any more.
Fault = Literal["batch", "outside", "refused", "expired"]


def on_one_line(text: str) -> str:
    r"""A text of others, for a message of ours: it moves no cursor and begins no line.

    >>> on_one_line("no  such\nbatch\x1b[2J")
    'no such batch?[2J'
    """
    line = " ".join(text.split())
    return "".join(char if char.isprintable() else "?" for char in line)


class ReceiverError(Exception):
    """The root. The message says what happened and what to do about it; it holds no secret."""

    retryable = False
    fault: Fault = "batch"


class SettingsError(ReceiverError):
    """One or more environment variables are missing or wrong; the message names all of them."""


class ListenError(ReceiverError):
    """The web process can't have the port that it should listen on."""


class UnknownProjectError(ReceiverError):
    """A batch belongs to a Gemini project that this process has no settings for."""

    retryable = True
    fault: Fault = "outside"


class SignatureError(ReceiverError):
    """A delivery is not proven to come from Gemini. `reason` is for the log, not for the sender."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownKeyError(SignatureError):
    """No key of the set at hand fits the delivery; a fresher key set may hold it."""


class KeySetUnavailableError(ReceiverError):
    """No key set is known and none can be fetched: the sender of a delivery should try again."""

    retryable = True


class EventError(ReceiverError):
    """A delivery's body is not an event envelope."""


class InboxUnavailableError(ReceiverError):
    """Redis could not be asked; nothing was accepted."""

    retryable = True
    fault: Fault = "outside"


class LeaseLostError(ReceiverError):
    """Another worker has the batch now, or the lease ran out; stop before the next write."""

    retryable = True


class ReconcileLockedError(ReceiverError):
    """Another process reconciles this project right now."""

    retryable = True


class UnfitRedisError(ReceiverError):
    """Redis answers, but is set up to lose what it is given."""


# Something on the way timed out or failed; Gemini may have done the work.
UNSURE_STATUS = frozenset({408, 499, *range(500, 600)})


class GeminiError(ReceiverError):
    """Gemini's API refused or failed a call."""

    def __init__(  # noqa: PLR0913 - all that a caller may decide by
        self,
        message: str,
        *,
        status: int | None = None,
        retryable: bool = False,
        retry_after_s: float | None = None,
        is_unsent: bool = False,
        fault: Fault | None = None,
    ) -> None:
        """`is_unsent`: no connection came about, so Gemini never got the call.

        `fault` is "outside" where a retry may help, else "batch", unless it is given.
        """
        super().__init__(message)
        self.status = status
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.fault = fault or ("outside" if retryable else "batch")
        self.is_unsent = is_unsent

    @property
    def is_certain(self) -> bool:
        """Whether a call that changes something surely changed nothing."""
        return self.is_unsent or (self.status is not None and self.status not in UNSURE_STATUS)


class UnsureCallError(GeminiError):
    """The answer to a call was lost, and Gemini may have done what it asked for."""


class NotChargedError(GeminiError):
    """Gemini answered a single request with an error, for which it charges nothing."""

    @property
    def is_certain(self) -> bool:
        return True


class RefusedBatchError(GeminiError):
    """Gemini refuses to create a batch, and would do so again: what was asked for is wrong."""


class NotFoundError(GeminiError):
    """The configured API key sees no such thing."""


class UnreadableBatchError(GeminiError):
    """Gemini describes one batch in a form that can't be read; others may be readable."""

    def __init__(self, message: str) -> None:
        super().__init__(message, fault="refused")


class ExpiredError(GeminiError):
    """A batch ended longer ago than results live, and Gemini does not give them."""

    def __init__(self, message: str) -> None:
        super().__init__(message, fault="expired")


class DownloadError(GeminiError):
    """A result file did not arrive whole."""


class AnswerTooLargeError(GeminiError):
    """An answer is larger than anything that the API sends on purpose."""

    def __init__(self, what: str, max_bytes: int) -> None:
        super().__init__(
            f"Gemini's answer on {what} is over {max_bytes >> 20} MiB", fault="refused"
        )


class NotReadyError(ReceiverError):
    """Gemini has not finished the batch, or not yet said where its results are."""

    retryable = True


class DoubtedError(ReceiverError):
    """Results look wrong, and are read again before they are believed."""

    retryable = True

    def __init__(self, message: str, *, delay_s: float) -> None:
        super().__init__(message)
        self.delay_s = delay_s


class FewerResultsError(ReceiverError):
    """A stored batch was read again with less in it: what is stored stays."""


class BrokenAnswerError(ReceiverError):
    """An answer can't take a form."""


class ShuttingDownError(ReceiverError):
    """The process was asked to stop; the batch goes back uncounted."""

    retryable = True


class OutOfTimeError(ReceiverError):
    """The job ran into its time limit; the batch goes back as an error."""

    retryable = True


class ForeignJobError(ReceiverError):
    """A job in our queue is not one of ours; it is refused."""


class LayoutError(ReceiverError):
    """An output template or key pattern can't be used."""


class NoticeError(ReceiverError):
    """A receiver did not take a notice; the message holds only the host of its address."""

    retryable = True

    def __init__(
        self, message: str, *, is_final: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.retryable = not is_final
        self.retry_after_s = retry_after_s


class StorageError(ReceiverError):
    """The storage refused or failed a call."""

    def __init__(self, message: str, *, retryable: bool = True, fault: Fault = "outside") -> None:
        super().__init__(message)
        self.retryable = retryable
        self.fault = fault


class ManifestError(ReceiverError):
    """A stored manifest can't be read."""


class AlreadyStoredError(StorageError):
    """An object that must be created is there already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is already stored", retryable=False)


class RowsError(ReceiverError):
    """A table of rows, or what is to be asked of it, can't be turned into requests."""


class ExportError(ReceiverError):
    """The rows of a submission can't be written with their answers."""

    def __init__(self, message: str, *, is_of_disk: bool = False) -> None:
        """`is_of_disk`: the disk failed, which passes, and says nothing of the rows."""
        super().__init__(message)
        self.retryable = is_of_disk
        self.fault = "outside" if is_of_disk else "batch"


class SubmissionError(ReceiverError):
    """An input can't be sent as it is, or it is not known yet whether it was."""


class FaultyInputError(SubmissionError):
    """Lines of an input are no requests."""

    def __init__(self, message: str, *, count: int, first: Sequence[tuple[int, str]]) -> None:
        """`count` lines are wrong; of the first ones, the number from 1 and what is wrong."""
        super().__init__(message)
        self.count, self.first = count, first


class StepPendingError(SubmissionError):
    """A step of a submission can't be judged or taken yet; `delay_s` says when to ask again."""

    retryable = True

    def __init__(self, message: str, *, delay_s: float) -> None:
        super().__init__(message)
        self.delay_s = delay_s


class EnvFileError(ReceiverError):
    """A file of environment variables can't be read or changed."""


class ServiceError(ReceiverError):
    """`up` can't run the service, or a program of it ends again and again."""
