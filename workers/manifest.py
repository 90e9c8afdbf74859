"""The manifest: the proof that nothing of a batch is missing, and the commit."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import msgspec

from receiver.gemini import Batch
from workers.account import Account

VERSION = version("gemini-batch-receiver")


@dataclass(frozen=True)
class Source:
    """What the outputs were made of."""

    kind: Literal["file", "inline", "none"]
    name: str | None = None  # "files/batch-…"
    bytes: int = 0
    lines: int = 0
    blank: int = 0  # lines of white space, which answer nothing
    sha256: str | None = None  # hex; of inlined responses: one compact line each


@dataclass(frozen=True)
class Written:
    """What was stored of a source."""

    objects: int
    bytes: int
    index_name: str
    index_sha256: str


def build_manifest(
    batch: Batch, source: Source, account: Account, written: Written | None, template: str
) -> dict[str, Any]:
    """The manifest: nothing of our clock, host or attempt is in it, so that a re-run gives the same bytes."""
    balance = account.balance(batch.requests)
    failed = batch.error_code is not None or batch.error_message is not None
    return {
        "batch": batch.name,
        "state": batch.state,
        "display_name": batch.display_name,
        "model": batch.model,
        "created": batch.created,
        "ended": batch.ended,
        "source": msgspec.to_builtins(source),
        "requests": batch.requests,
        "outcomes": account.outcomes(),
        "missing": balance.missing,
        "missing_keys": balance.missing_keys or [],
        "balanced": balance.balanced,
        "usage": account.usage(),
        "cost": "unknown",
        "objects": {"count": written.objects if written else 0, "bytes": written.bytes if written else 0},
        "index": {"name": written.index_name, "sha256": written.index_sha256} if written else None,
        "error": {"code": batch.error_code, "message": batch.error_message} if failed else None,
        "template": template,
        "version": VERSION,
    }


def encode_manifest(manifest: dict[str, Any]) -> bytes:
    """Indented JSON, for people as much as for programs."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
