"""What litellm and genai-prices, as they are installed, say of Gemini's models, in one form."""

import importlib
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

LONG_PROMPT_TOKENS = 200_000  # above, some models cost more
_MILLION = 1_000_000
_PREFIX = "gemini/"  # of the Gemini Developer API, in litellm's names
_LONG = "_above_200k_tokens"

Kind = tuple[
    str, str
]  # ("input", "*"), ("long output", "IMAGE"): what is priced, and the modality, `*` for the rest
_LITELLM: dict[Kind, str] = {
    ("input", "*"): "input_cost_per_token",
    ("input", "AUDIO"): "input_cost_per_audio_token",
    ("input", "IMAGE"): "input_cost_per_image_token",
    ("input", "VIDEO"): "input_cost_per_video_token",
    ("output", "*"): "output_cost_per_token",
    ("output", "AUDIO"): "output_cost_per_audio_token",
    ("output", "IMAGE"): "output_cost_per_image_token",
    ("output", "VIDEO"): "output_cost_per_video_token",
    ("cached", "*"): "cache_read_input_token_cost",
    ("cached", "AUDIO"): "cache_read_input_audio_token_cost",
    ("long input", "*"): "input_cost_per_token" + _LONG,
    ("long output", "*"): "output_cost_per_token" + _LONG,
    ("long cached", "*"): "cache_read_input_token_cost" + _LONG,
}
_GENAI_PRICES: dict[Kind, str] = {
    ("input", "*"): "input_mtok",
    ("input", "AUDIO"): "input_audio_mtok",
    ("input", "IMAGE"): "input_image_mtok",
    ("input", "VIDEO"): "input_video_mtok",
    ("output", "*"): "output_mtok",
    ("output", "AUDIO"): "output_audio_mtok",
    ("output", "IMAGE"): "output_image_mtok",
    ("output", "VIDEO"): "output_video_mtok",
    ("cached", "*"): "cache_read_mtok",
    ("cached", "AUDIO"): "cache_audio_read_mtok",
}
Prices = dict[Kind, Decimal]  # US dollars for a million tokens


@dataclass(frozen=True)
class Offer:
    """What one source says of one model on one day."""

    standard: Prices = field(default_factory=dict)
    batch: Prices = field(default_factory=dict)  # empty: it does not speak of batches


@dataclass(frozen=True)
class Dated:
    """What genai-prices says of one model: now, and from days to come."""

    now: Offer
    later: dict[str, Offer] = field(
        default_factory=dict
    )  # by the day from which it holds; no batch: it says none


def package_versions() -> str:
    """For the tables' `source`."""
    return " and ".join(f"{name} {version(name)}" for name in ("litellm", "genai-prices"))


def load_litellm() -> dict[str, dict[str, Any]]:
    """Models by Gemini's name, from the package's data: to import it takes all its dependencies."""
    spec = find_spec("litellm")
    if spec is None or spec.origin is None:
        raise SystemExit("litellm is not installed: pip install --no-deps litellm")
    data = json.loads(
        (Path(spec.origin).parent / "model_prices_and_context_window_backup.json").read_bytes(),
        parse_float=Decimal,
    )
    return {
        name.removeprefix(_PREFIX): model
        for name, model in data.items()
        if name.startswith(_PREFIX)
    }


def read_litellm(model: dict[str, Any]) -> Offer:
    """The prices of one entry."""
    return Offer(_read_keys(model, ""), _read_keys(model, "_batches"))


def _read_keys(model: dict[str, Any], ending: str) -> Prices:
    found = {kind: model.get(key + ending) for kind, key in _LITELLM.items()}
    return {kind: Decimal(price) * _MILLION for kind, price in found.items() if price}


def load_genai_prices() -> list[Any]:
    """Google's models, as that package's objects."""
    try:
        module = importlib.import_module("genai_prices.data")
    except ImportError as error:
        raise SystemExit(
            f"genai-prices is not installed: pip install genai-prices ({error})"
        ) from error
    return [
        model
        for provider in module.providers
        if provider.id == "google"
        for model in provider.models
    ]


def read_genai_prices(models: list[Any], name: str, today: date) -> Dated | None:
    """What is said of the model of this name; None where nothing is."""
    model = next((model for model in models if model.is_match(name)), None)
    if model is None:
        return None
    variants = [
        variant for variant in model.price_variants or () if variant.when == {"processing": "batch"}
    ]
    conditions = model.prices if isinstance(model.prices, list) else []
    starts = {_start_of(one) for one in (*variants, *conditions)} - {None}
    stated = {_start_of(variant) for variant in variants}
    later = {
        start.isoformat(): _read_day(model, start, speaks_of_batches=start in stated)
        for start in sorted(start for start in starts if start is not None and start > today)
    }
    speaks = any((start := _start_of(variant)) is None or start <= today for variant in variants)
    return Dated(_read_day(model, today, speaks_of_batches=speaks), later)


def _start_of(priced: Any) -> date | None:
    start: date | None = getattr(priced.constraint, "start_date", None)
    return start


def _read_day(model: Any, day: date, *, speaks_of_batches: bool) -> Offer:
    """Asked first: for a model without a batch variant the package gives the full price."""
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    standard = _read_fields(model.get_prices(moment))
    return Offer(
        standard,
        _read_fields(model.get_prices(moment, {"processing": "batch"}))
        if speaks_of_batches
        else {},
    )


def _read_fields(prices: Any) -> Prices:
    found: Prices = {}
    for (what, modality), name in _GENAI_PRICES.items():
        price: Any = getattr(prices, name, None)
        if hasattr(price, "tiers"):
            if [tier.start for tier in price.tiers] != [LONG_PROMPT_TOKENS]:
                continue  # a form that our price list does not have
            found[f"long {what}", modality] = price.tiers[0].price
            price = price.base
        if price:
            found[what, modality] = price
    return found
