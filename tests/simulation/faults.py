"""Which faults a seed has, and how often. Each seed has a few kinds of them, and some have none."""

import random
from dataclasses import dataclass, field

# By what they befall. "unsure" and "lost": it was done, but whoever asked does not learn it.
KINDS = {
    "redis": ("refused", "lost", "slow"),
    "storage": ("failed", "unsure", "slow"),
    "gemini": (
        "unsent",
        "lost",
        "429",
        "500",
        "503",
        "403",
        "404",
        "empty",
        "unsure 503",
        "slow",
        "late",
    ),
    "download": ("cut", "stall", "half", "within a line", "nothing", "page"),
    "delivery": ("refused", "lost", "slow", "forged"),
    "notice": ("500", "429", "lost", "slow"),
    # Of a process; and of a worker at the manifest, the one call that decides.
    "crash": ("worker", "web", "submitter", "upkeep", "commit"),
    "pause": ("worker", "web", "submitter", "upkeep", "commit"),
}
# How often, by how many calls there are of that kind.
RATES = {
    "redis": (0.01, 0.05, 0.3),
    "storage": (0.01, 0.05, 0.3),
    "gemini": (0.03, 0.1, 0.4),
    "download": (0.1, 0.3, 0.6),
    "delivery": (0.1, 0.3, 0.6),
    "notice": (0.1, 0.3, 0.6),
    "crash": (0.005, 0.02, 0.06),
    "pause": (0.005, 0.02, 0.06),
}
TIMES = {"worker": 4, "web": 10, "commit": 40}  # as often: there are few such calls
OUTAGES = ("redis", "storage", "gemini")  # the first kind of each stands for its being away
OUTAGE_S = (3.0, 300.0)
MAX_WORKER_CRASHES = 4  # of one batch; at the fifth it is buried
MAX_LIES = 3  # about the results of one batch; at the fourth equal one it is believed


@dataclass
class Faults:
    """The faults of one seed, and what is left of them."""

    generator: random.Random
    rates: dict[tuple[str, str], float] = field(default_factory=dict)
    outages: list[tuple[str, int, int]] = field(default_factory=list)  # of what, from and until
    ends_ns: int = 0  # from then on nothing fails any more
    crashes: int = 0
    lies: dict[str, int] = field(default_factory=dict)  # by result file
    met: dict[str, int] = field(default_factory=dict)

    @classmethod
    def draw(cls, generator: random.Random, begins_ns: int) -> "Faults":
        """A swarm: each kind is there or not, by itself."""
        rates = {}
        share = generator.choice((0, 0.15, 0.35, 0.7))
        for target, kinds in KINDS.items():
            for kind in kinds:
                if generator.random() < share:
                    rate = generator.choice(RATES[target]) * TIMES.get(kind, 1)
                    rates[target, kind] = rate
        ends_ns = begins_ns + int(generator.uniform(60, 1500) * 1e9)
        outages = []
        for target in OUTAGES:
            if generator.random() < share:
                from_ns = generator.randint(begins_ns, ends_ns)
                until_ns = from_ns + int(generator.uniform(*OUTAGE_S) * 1e9)
                outages.append((target, from_ns, until_ns))
        return cls(generator, rates, outages, ends_ns)

    def take(self, target: str, now_ns: int, allowed: tuple[str, ...] | None = None) -> str | None:
        """The fault that befalls this call, if any."""
        if now_ns >= self.ends_ns:
            return None
        if any(one == target and since <= now_ns < until for one, since, until in self.outages):
            return self._note(target, KINDS[target][0])
        for kind in allowed if allowed is not None else KINDS[target]:
            rate = self.rates.get((target, kind), 0)
            if rate and self.generator.random() < rate:
                return self._note(target, kind)
        return None

    def _note(self, target: str, kind: str) -> str:
        name = f"{target}: {kind}"
        self.met[name] = self.met.get(name, 0) + 1
        return kind

    def may_lie(self, file: str) -> bool:
        """Whether this reading of a result file may be a lie; counts it."""
        told = self.lies.get(file, 0)
        self.lies[file] = told + 1
        return told < MAX_LIES
