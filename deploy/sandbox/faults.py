"""The knobs that make the sandbox misbehave while it runs. All are off at start; tests and the demo turn them."""

from typing import Any, Literal

import msgspec

from deploy.sandbox.config import Scheme
from deploy.sandbox.wire import ApiError, Json

Times = int | Literal["all"]


class StatusFault(msgspec.Struct, forbid_unknown_fields=True):
    """Answer `status` instead of doing the work."""

    status: int
    times: Times = 1
    retry_after: int | None = None  # seconds, sent as Retry-After


class CutFault(msgspec.Struct, forbid_unknown_fields=True):
    """Close the connection after so many bytes of the body."""

    bytes: int
    times: Times = 1


class DripFault(msgspec.Struct, forbid_unknown_fields=True):
    bytes_per_s: int
    times: Times = 1


class RedirectFault(msgspec.Struct, forbid_unknown_fields=True):
    """Answer 302 to the same path at another origin."""

    to: str
    times: Times = 1


class Faults(msgspec.Struct, forbid_unknown_fields=True):
    """A count is how many of the next calls are hit; "all" hits every call until it is set to 0."""

    # deliveries
    drop_deliveries: Times = 0  # never sent at all
    duplicate_deliveries: Times = 0  # sent again, with the same id, once accepted
    wrong_signature: Times = 0  # attempts signed with a key that nobody published
    delay_deliveries_s: float = 0
    event_id: Literal["batches/", "batch_", ""] = "batches/"  # what stands before the id in `data.id`
    user_metadata_in: Literal["top", "data"] = "top"
    dynamic_scheme: Scheme | None = None  # instead of the one that the sandbox was started with
    jwt_audience: str | None = None  # likewise
    # batches
    get_status: StatusFault | None = None
    late_output: Times = 0  # SUCCEEDED without output
    output_in: Literal["both", "metadata", "response"] = "both"
    # downloads
    download_status: StatusFault | None = None
    cut_download_after: CutFault | None = None
    drip_downloads: DripFault | None = None
    redirect_downloads: RedirectFault | None = None
    gzip_downloads: Times = 0  # only for clients that accept it
    chunked_downloads: Times = 0  # no Content-Length
    ignore_range: Times = 0  # 200 and the whole file to a Range request
    wrong_range: Times = 0  # 206 that starts one byte late

    def set(self, changes: Json) -> None:
        """Take over the knobs that `changes` names. Raises ApiError 400, and changes nothing, if one is wrong."""
        try:
            checked = msgspec.convert({**msgspec.to_builtins(self), **changes}, Faults)
        except msgspec.ValidationError as error:
            raise ApiError(400, f"No such fault: {error}") from error
        for name in Faults.__struct_fields__:
            setattr(self, name, getattr(checked, name))

    def reset(self) -> None:
        self.set(msgspec.to_builtins(Faults()))

    def take(self, name: str) -> bool:
        """Use up one count of the knob called `name`; False when it is at 0."""
        left: Times = getattr(self, name)
        if isinstance(left, int):
            setattr(self, name, max(0, left - 1))
            return left > 0
        return True

    def take_fault(self, name: str) -> Any:
        """The fault called `name`, and one of its times used up; None when it is off."""
        fault = getattr(self, name)
        if fault is None or fault.times == 0:
            return None
        if isinstance(fault.times, int):
            fault.times -= 1
        return fault

    def raise_status(self, name: str) -> None:
        """Raise the ApiError that the status fault called `name` asks for, if it is on."""
        fault = self.take_fault(name)
        if fault is not None:
            headers = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
            raise ApiError(fault.status, f"The sandbox was told to answer {fault.status}.", headers=headers)
