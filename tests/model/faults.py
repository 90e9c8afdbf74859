"""Faults planted in the text of a script: what each habit must find, or it shows nothing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One replacement in a script's text, its prelude included."""

    name: str
    right: str
    wrong: str
    shows_in_real_time: bool = True  # where no clock can be stopped at a millisecond

    def plant(self, script: str) -> str:
        """Scripts that don't hold the text stay as they are."""
        return script.replace(self.right, self.wrong)


FAULTS = (
    Fault("a batch is claimed before it is due", "tonumber(score) > now", "false"),
    Fault(
        "a batch is due a millisecond late",
        "tonumber(score) > now",
        "tonumber(score) >= now",
        shows_in_real_time=False,
    ),
    Fault("a crash counts no attempt", "key, 'attempts', 1)", "key, 'attempts', 0)"),
    Fault(
        "a lease of before was told to end, and this one is taken for it",
        "key, 'again', 'leaving', 'progress')",
        "key, 'again', 'progress')",
    ),
    Fault(
        "whoever comes holds a leased batch",
        "entry[1] == 'leased' and entry[2] == token",
        "entry[1] == 'leased'",
    ),
    Fault(
        "tokens turn over",
        "math.max(last + 1, now * 1000)",
        "now * 1000 + (last + 1) % 1000",
        shows_in_real_time=False,
    ),
    Fault(
        "a buried batch opens for whoever opens stored ones",
        "state == 'buried' and reopen == 'all'",
        "state == 'buried' and reopen ~= 'none'",
    ),
    Fault("a redelivery defers what is due", "DUE, 'LT', moment, batch", "DUE, moment, batch"),
    Fault(
        "a stored batch stays due",
        "redis.call('ZREM', DUE, batch)\nput(DONE",
        "put(DONE",
    ),
    Fault(
        "a stored batch is kept for ever",
        "redis.call('EXPIRE', key, ARGV[4])\n",
        "",
    ),
    Fault(
        "a burial owes no notice",
        "  notify_of_burial(batch, cause)\n  redis.call",
        "  redis.call",
    ),
    Fault(
        "an outage leaves the first refusal's time",
        "key, 'refusals', 'refusals_since')\nend\nlocal due",
        "key, 'refusals')\nend\nlocal due",
    ),
    Fault(
        "a claim told again gets nothing",
        "entry[1] == 'leased' and ARGV[5] ~= ''",
        "false",
    ),
    Fault("a reading told again counts twice", "before[5] == ARGV[2]", "false"),
    Fault(
        "a delivered notice stays in its queue",
        "redis.call('DEL', key)\n  redis.call('ZREM', queue, name)",
        "redis.call('DEL', key)",
    ),
    Fault(
        "a complete run counts from its end",
        "redis.call('HGET', RECONCILE, 'began')",
        "now",
    ),
    Fault("a write told again counts twice", "1, 'NX', 'EX', ARGV[2])", "1, 'EX', ARGV[2])"),
    Fault(
        "a cost told again counts twice",
        "ARGV[1], 1, 'NX', 'EX', ARGV[2]) then\n  count_cost",
        "ARGV[1], 1, 'EX', ARGV[2]) then\n  count_cost",
    ),
    Fault("a stored batch cost nothing", "if cost then", "if not cost then"),
    Fault("a batch that ended wakes nobody", "\nwake(ARGV[7])\n", "\n"),
    Fault("a buried batch wakes nobody", "\nwake(ARGV[6])\n", "\n"),
    Fault(
        "a submission ends whatever a person has said meanwhile",
        "redis.call('HGET', key, 'again') == '1'",
        "false",
    ),
    Fault(
        "a batch that ends opens its submission anew",
        "'HSETNX', entry, 'again', 'woken'",
        "'HSET', entry, 'again', '1'",
    ),
    Fault(
        "a rest forgets no crash",
        "'HSET', key, 'attempts', 0, 'waits', 0",
        "'HSET', key, 'waits', 0",
    ),
    Fault(
        "a paused project is worked on",
        "if is_paused(batch) then",
        "if false then",
        shows_in_real_time=False,
    ),
    Fault(
        "a clock that is set back holds up notices",
        "if moment and moment > LATEST then",
        "if false then",
        shows_in_real_time=False,
    ),
)
