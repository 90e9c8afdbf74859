"""What requests may cost: their tokens by a submission's rates, and those tokens' prices. Pure."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from math import ceil
from typing import Literal, NamedTuple

from receiver.outputs.prices import ANY_MODALITY, LONG_PROMPT_TOKENS, Price, Prices, Rate, Rates
from receiver.outputs.wording import count_of
from receiver.submissions.request_sizes import RequestSize
from receiver.submissions.submission import Estimate, RequestKind, TokenRates

PRICE_DAYS = 7  # a batch is billed by the day on which it ends
MILLION = Decimal(1_000_000)
ASSUMED_INPUT_LIMIT, ASSUMED_OUTPUT_LIMIT = 1_048_576, 65_536  # tokens, as of most models
ASSUMED_ANSWER_TOKENS = 1_000
ASSUMED_PER_BYTE = 0.25
MOST_PER_BYTE = 1.0  # a token has a byte at least, whatever a sample says
ASSUMED_PER_ATTACHMENT = 1_000
# Where nobody counted, the cheapest estimate takes so much of the assumed input.
LEAST_SHARE = Decimal("0.5")
_Choice = Literal["least", "usual", "most"]


def assume_rates(
    input_limit: int | None = None,
    output_limit: int | None = None,
    per_answer: float | None = None,
    batches: int = 0,
) -> TokenRates:
    """The rates where nobody counted.

    An attachment may fill a request up to the model's limit.
    """
    most = input_limit or ASSUMED_INPUT_LIMIT
    return TokenRates(
        per_byte=ASSUMED_PER_BYTE,
        most_per_byte=MOST_PER_BYTE,
        per_attachment=ASSUMED_PER_ATTACHMENT,
        most_per_attachment=float(most),
        input_limit=most,
        output_limit=output_limit or ASSUMED_OUTPUT_LIMIT,
        per_answer=ASSUMED_ANSWER_TOKENS if per_answer is None else per_answer,
        batches=batches,
    )


def prices_around(prices: Prices, model: str, day: date) -> list[Price | None]:
    """Those by which a batch may be billed that is created on `day`; the first is that day's.

    None stands for a price that is not known.
    """
    days = [day + timedelta(days=more) for more in range(PRICE_DAYS + 1)]
    return [prices.find(model, one.isoformat()) for one in days]


class Weight(NamedTuple):
    """Tokens of one request or of several."""

    expected_input: int
    dense_input: int  # if it is as dense as the densest that was counted: what pace is kept by
    most_input: int  # what money is kept by: no request has more
    expected_output: int
    most_output: int


class Load:
    """Adds requests up by what their prices depend on: attachments, and long prompts."""

    def __init__(self) -> None:
        self.requests = self.unlimited = self.unbounded = self.dense_tokens = 0
        # Sums of the members of Weight by: has attachments, is long where dense, may be long.
        self.sums: dict[tuple[bool, bool, bool], list[int]] = {}

    def add(self, size: RequestSize, weight: Weight) -> None:
        expected_input, dense_input, most_input, expected_output, most_output = weight
        self.requests += 1
        self.dense_tokens += dense_input
        if size.output_tokens is None:
            self.unlimited += 1
        if size.runs_tools:
            self.unbounded += 1
        is_long = dense_input > LONG_PROMPT_TOKENS
        kind = size.attachments > 0, is_long, most_input > LONG_PROMPT_TOKENS
        sums = self.sums.get(kind)
        if sums is None:
            self.sums[kind] = [*weight]
        else:
            sums[0] += expected_input
            sums[1] += dense_input
            sums[2] += most_input
            sums[3] += expected_output
            sums[4] += most_output

    def merge(self, other: "Load") -> None:
        self.requests += other.requests
        self.unlimited += other.unlimited
        self.unbounded += other.unbounded
        self.dense_tokens += other.dense_tokens
        for kind, sums in other.sums.items():
            known = self.sums.get(kind, [0] * len(sums))
            self.sums[kind] = [a + b for a, b in zip(known, sums, strict=True)]

    @property
    def tokens(self) -> int:
        """Of the input, as expected."""
        return sum(sums[0] for sums in self.sums.values())

    @property
    def most_tokens(self) -> int:
        """Of the input, at most."""
        return sum(sums[2] for sums in self.sums.values())


class Gauge:
    """Weighs the requests of one submission, and says what they may cost."""

    def __init__(
        self,
        kind: RequestKind,
        rates: TokenRates,
        prices: Sequence[Price | None] = (None,),
        doubts: Sequence[str] = (),
    ) -> None:
        """`prices` are those of `prices_around`; `doubts` say why something was not asked."""
        self.rates, self._prices, self._doubts = rates, prices, doubts
        self._answers = kind == "generate"
        self._per_answer = ceil(rates.per_answer)

    def weigh(self, size: RequestSize) -> Weight:
        """The tokens of one request."""
        rates, text_bytes, attachments = self.rates, size.text_bytes, size.attachments
        attached = attachments * rates.most_per_attachment
        usual = text_bytes * rates.per_byte + attachments * rates.per_attachment
        most_input = min(ceil(text_bytes * MOST_PER_BYTE + attached), rates.input_limit)
        dense_input = min(ceil(text_bytes * rates.most_per_byte + attached), most_input)
        expected_input = min(ceil(usual), dense_input)
        if not self._answers:
            return Weight(expected_input, dense_input, most_input, 0, 0)
        limit = min(size.output_tokens or rates.output_limit, rates.output_limit)
        expected = min(self._per_answer, limit)
        count = size.candidates
        return Weight(expected_input, dense_input, most_input, expected * count, limit * count)

    def most_cost(self, load: Load) -> Decimal | None:
        """What these requests may cost at most, in US dollars; None where nobody knows."""
        if load.unbounded:
            return None
        costs = [self._price(load, price, "most") for price in self._prices]
        known = [cost for cost in costs if cost is not None]
        return max(known) if len(known) == len(costs) else None

    def estimate(self, load: Load) -> Estimate:
        """What they may cost in all, before anything is sent."""
        price = self._prices[0]
        return Estimate(
            low=self._price(load, price, "least"),
            expected=None if load.unbounded else self._price(load, price, "usual"),
            high=self.most_cost(load),
            basis=self._describe(load),
            input_tokens=load.tokens,
            rates=self.rates,
        )

    def _price(self, load: Load, price: Price | None, choice: _Choice) -> Decimal | None:
        if price is None:
            return None
        costs = [
            self._price_sum(Weight(*sums), price, kind, choice) for kind, sums in load.sums.items()
        ]
        known = [cost for cost in costs if cost is not None]
        return sum(known, Decimal(0)) / MILLION if len(known) == len(costs) else None

    def _price_sum(
        self, weight: Weight, price: Price, kind: tuple[bool, bool, bool], choice: _Choice
    ) -> Decimal | None:
        """One sum of a load, times a million."""
        has_attachments, is_long, may_be_long = kind
        rates = _choose_rates(price, choice, is_long=may_be_long if choice == "most" else is_long)
        paid = [_pick(one.input, choice, is_plain=not has_attachments) for one in rates]
        if choice == "least":
            share = Decimal(1) if self.rates.counted else LEAST_SHARE
            return _times(weight.expected_input, paid, share)
        answered = [_pick(one.output, choice, is_plain=False) for one in rates]
        is_most = choice == "most"
        asked = _times(weight.most_input if is_most else weight.expected_input, paid)
        said = _times(weight.most_output if is_most else weight.expected_output, answered)
        return None if asked is None or said is None else asked + said

    def _describe(self, load: Load) -> str:
        """How an estimate is made, in words; what makes it unknown comes first."""
        rates, words = self.rates, [*self._describe_unknown(load)]
        tokens = f"{load.tokens:,} tokens of input, {load.most_tokens:,} at most"
        if rates.counted:
            counted = f"Gemini counted {rates.counted:,} of {load.requests:,} requests"
            words.append(f"{counted}, so there are about {tokens}")
        else:
            words.append(f"by the size of the requests alone there are about {tokens}")
        if self._answers:
            words += self._describe_answers(load)
        return "; ".join([*words, *self._doubts])

    def _describe_unknown(self, load: Load) -> Iterator[str]:
        """Why nobody knows what it may cost at most."""
        if load.unbounded:
            uses = count_of(load.unbounded, "request uses", "requests use")
            yield f"{uses} tools that run at Gemini, and nobody knows what they add"
        if None in self._prices:
            yield "the price list has no price of the model"
        elif not load.unbounded and self.most_cost(load) is None:
            yield "the price list does not price every kind of token of the model"

    def _describe_answers(self, load: Load) -> Iterator[str]:
        rates = self.rates
        per_answer = f"{rates.per_answer:,.0f} tokens per answer"
        if rates.batches:
            batches = count_of(rates.batches, "stored batch", "stored batches")
            yield f"expected are {per_answer}, as in {batches} of the model"
        else:
            yield f"{per_answer} are assumed, since no stored batch of the model tells"
        if load.unlimited:
            requests = count_of(load.unlimited, "request states", "requests state")
            limit = f"each answer may have {rates.output_limit:,} tokens"
            yield f"{requests} no maxOutputTokens, so {limit}"


def _choose_rates(price: Price, choice: _Choice, *, is_long: bool) -> list[Rates]:
    """The prices that may apply; a prompt that may be long has its own with some models."""
    if not is_long or price.long is None or choice == "least":
        return [price.rates]
    return [price.rates, price.long] if choice == "most" else [price.long]


def _pick(rate: Rate | None, choice: _Choice, *, is_plain: bool) -> Decimal | None:
    """The price of a million tokens, which are all text where they are plain."""
    if rate is None or isinstance(rate, Decimal):
        return rate
    if is_plain:
        return rate.get("TEXT", rate[ANY_MODALITY])
    known = [one for one in rate.values() if one is not None]
    if choice == "least":
        return min(known, default=None)
    return max(known) if len(known) == len(rate) else None


def _times(
    tokens: int, rates: Sequence[Decimal | None], share: Decimal = Decimal(1)
) -> Decimal | None:
    """What tokens cost at the dearest of the prices; None where one is not known."""
    if not tokens:
        return Decimal(0)
    known = [rate for rate in rates if rate is not None]
    return tokens * share * max(known) if len(known) == len(rates) else None
