"""How a script that runs by the server's own clock also tells what it did.

The text of the script, prelude included, is byte for byte the product's. Before it stands a local
`redis` that remembers which keys it names; behind it, what stands in those keys afterwards. So the
time, the reply and the state come from the one atomic step in which the script ran: neither the
order of the server nor its clock has to be guessed.
"""

from receiver.inbox.redis import read_script
from tests.model.model import SCRIPTS

MAX_KEYS = 60  # of one step; the end of a trace compares them all
# Gives {seconds, microseconds, reply or false, {{key, kind, end, value}, ...}}.
BEFORE = """
local server, clock, seen, touched = redis, redis.call('TIME'), {}, {}
local redis = setmetatable({}, { __index = server })
local function told(run)
  return function(command, key, ...)
    if command == 'TIME' then return clock end
    if key and not seen[key] then
      seen[key] = true
      touched[#touched + 1] = key
    end
    return run(command, key, ...)
  end
end
redis.call, redis.pcall = told(server.call), told(server.pcall)
local function script()
"""
AFTER = f"""
end
local reply, states = script(), {{}}
for i = 1, math.min(#touched, {MAX_KEYS}) do
  local key = touched[i]
  local kind = server.call('TYPE', key).ok
  if kind == 'hash' or kind == 'string' then
    local value = server.call(kind == 'hash' and 'HGETALL' or 'GET', key)
    states[#states + 1] = {{ key, kind, server.call('PEXPIRETIME', key), value }}
  elseif kind == 'none' then
    states[#states + 1] = {{ key, kind, -2, '' }}
  end
end
return {{ clock[1], clock[2], reply or false, states }}
"""


def traced(script: str) -> str:
    return BEFORE + script + AFTER


def scripts() -> dict[str, str]:
    """The text of each script that writes to the ledger, by name."""
    return {name: read_script(name) for name in SCRIPTS}
