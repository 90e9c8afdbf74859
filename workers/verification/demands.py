"""What is asked of a proof beside the storage."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from receiver.outputs.prices import Prices, default_prices
from receiver.outputs.proof_keys import PublicKey


@dataclass(frozen=True)
class Demands:
    """By default only what needs nothing else than the storage."""

    prices: Prices = field(default_factory=default_prices)
    public_keys: tuple[
        PublicKey, ...
    ] = ()  # one of them must have signed the manifest; none: nobody asks
    response_schema: dict[str, Any] | None = None  # RESPONSE_SCHEMA, as far as it is known
    read: Callable[[int, int], None] = lambda _objects, _whole: (
        None
    )  # hears how many more objects were read, of how many
