"""What is wrong with a model for a batch: it has been shut down, soon will be, or is closed to new
projects.

The days come from `receiver.outputs.model_table`, which is made at release, and from the constants
below where Google's own pages say more. Pure.
"""

from datetime import date, timedelta

from receiver.outputs.model_table import MODELS

BATCH_DAYS = 2  # a batch runs for up to 48 hours before it expires
NEW_MODELS = "gemini-3.8-flash or gemini-3.5-flash-lite"  # what new projects are pointed to
# From https://ai.google.dev/gemini-api/docs/models and .../docs/pricing, as of 2026-10-15.
_ENDS = {"gemini-2.5-flash-image": "2026-10-02", "gemini-2.5-flash-image-preview": "2026-10-02"}
_SHUT_FAMILIES = {"gemini-2.0-": "2026-06-01"}
_SHUT = frozenset({"gemini-3-pro-preview"})
_CLOSED_FAMILIES = ("gemini-2.5-",)


def model_warnings(model: str, day: date) -> list[str]:
    """What to know before a batch goes to `model` on `day`, in words; empty for unknown models."""
    name = model.removeprefix("models/")
    end = _find_end(name)
    if name in _SHUT or (end is not None and end <= day):
        since = "" if end is None else f" since {end}"
        return [
            f"{name} is shut{since}: Gemini will refuse the batch, or fail it; take {NEW_MODELS}"
        ]
    warnings = []
    if end is not None and end <= day + timedelta(days=BATCH_DAYS):
        warnings.append(
            f"{name} ends on {end}, and a batch may take {BATCH_DAYS} days: take {NEW_MODELS}"
        )
    if name.startswith(_CLOSED_FAMILIES):
        warnings.append(f"{name} is closed to new projects, which can take {NEW_MODELS}")
    return warnings


def _find_end(name: str) -> date | None:
    """The first day without the model."""
    family = next((end for prefix, end in _SHUT_FAMILIES.items() if name.startswith(prefix)), None)
    end = family or _ENDS.get(name) or MODELS["ends"].get(name)
    return None if end is None else date.fromisoformat(end)
