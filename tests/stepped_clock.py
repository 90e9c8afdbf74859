"""A real Valkey whose clock a test steps.

The seam is the name `redis` that a script sees. The text of each script runs byte for byte as it is
in the product; before it stands a local `redis` that answers TIME with the test's clock, and turns
a time to live into the moment it ends by that clock, as Redis itself defines EXPIRE and SET's EX
and PX. All other calls go to the server untouched. The moments are far ahead of the real clock, so
the server never ends a key by itself: EXPIRE does it once the test's clock has passed them.
"""

from collections.abc import Sequence
from typing import Any

START_MS = 4_102_444_800_000  # the year 2100: the real clock gets nowhere near
# Before the text of a script; the clock in ms comes behind its arguments.
CLOCK = """
local server, clock_ms = redis, tonumber(table.remove(ARGV))
local redis = setmetatable({}, { __index = server })
local function by_clock(call)
  if call[1] == 'EXPIRE' then
    call[1], call[3] = 'PEXPIREAT', string.format('%.0f', clock_ms + call[3] * 1000)
  elseif call[1] == 'SET' then
    for i = 4, #call - 1 do
      if call[i] == 'EX' or call[i] == 'PX' then
        local ms = call[i] == 'EX' and call[i + 1] * 1000 or call[i + 1]
        call[i], call[i + 1] = 'PXAT', string.format('%.0f', clock_ms + ms)
      end
    end
  end
  return call
end
local function clocked(run)
  return function(...)
    if ... == 'TIME' then
      return { math.floor(clock_ms / 1000), clock_ms % 1000 * 1000 }
    end
    return run(unpack(by_clock({ ... })))
  end
end
redis.call, redis.pcall = clocked(server.call), clocked(server.pcall)
"""
# ARGV: the clock in ms.  Ends what has ended by it, as the server would.
EXPIRE = """
for _, key in ipairs(redis.call('KEYS', '*')) do
  local at = redis.call('PEXPIRETIME', key)
  if at >= 0 and at < tonumber(ARGV[1]) then redis.call('DEL', key) end
end
"""


def by_clock(command: Sequence[Any], now_ms: int) -> Sequence[Any]:
    """A command outside of a script, with its time to live as a moment of the test's clock."""
    name, *rest = command
    if name == "EXPIRE":
        key, seconds, *options = rest
        return ("PEXPIREAT", key, now_ms + int(seconds) * 1000, *options)
    if name == "SET" and ("EX" in rest or "PX" in rest):
        at = rest.index("EX") if "EX" in rest else rest.index("PX")
        ms = int(rest[at + 1]) * (1000 if rest[at] == "EX" else 1)
        return ("SET", *rest[:at], "PXAT", now_ms + ms, *rest[at + 2 :])
    return command
