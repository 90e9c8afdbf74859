-- ARGV: number of the sorted set among KEYS, 'newest' or 'oldest' first, score and member to go on behind ('' at the
-- start), most to look at, most to give, what is wanted as JSON: see receiver/inbox/finding.py
-- Gives {how many it looked at, 1 where there are no more, score and member of the last one, {member, its score, …}}.
local set, is_newest_first, score, member = KEYS[tonumber(ARGV[1])], ARGV[2] == 'newest', ARGV[3], ARGV[4]
local most_looked, most_given, wanted = tonumber(ARGV[5]), tonumber(ARGV[6]), cjson.decode(ARGV[7])
local is_due = set == DUE -- whose scores say when it is due, not when it ended
local since, till = is_due and '-inf' or wanted.since, is_due and '+inf' or wanted.till

local size = redis.pcall('ZCARD', set)
if type(size) == 'table' then -- no sorted set: somebody else wrote there
  return { 0, 1, '', '', {} }
end

local function find_bounds() -- how many of the set come before what is to be looked at, and how many behind it
  local late, early = redis.call('ZCOUNT', set, '(' .. till, '+inf'), redis.call('ZCOUNT', set, '-inf', '(' .. since)
  local before, behind = early, late
  if is_newest_first then
    before, behind = late, early
  end
  if score == '' then
    return before, behind
  end
  if redis.call('ZSCORE', set, member) == score then
    return redis.call(is_newest_first and 'ZREVRANK' or 'ZRANK', set, member) + 1, behind
  end
  if is_newest_first then -- it has moved on: those of its millisecond come again, and none is left out
    return redis.call('ZCOUNT', set, '(' .. score, '+inf'), behind
  end
  return redis.call('ZCOUNT', set, '-inf', '(' .. score), behind
end

local function read_json(text) -- an empty table for what is none
  local is_json, found = pcall(cjson.decode, text)
  return is_json and type(found) == 'table' and found or {}
end

local function text_of(value)
  return type(value) == 'string' and value or ''
end

local function number_of(value)
  return tonumber(value) or 0
end

local function table_of(value)
  return type(value) == 'table' and value or {}
end

local function has_outcome(summary)
  if wanted.outcome == '' then
    return true
  end
  local is_expired = text_of(summary.expired) ~= ''
  local is_unwell = is_expired or #table_of(summary.problems) > 0
  if wanted.outcome == 'well' then
    return not is_unwell
  elseif wanted.outcome == 'unwell' then
    return is_unwell
  elseif wanted.outcome == 'expired' then
    return is_expired
  elseif wanted.outcome == 'missing' then
    return number_of(summary.missing) > 0
  end
  return number_of(table_of(summary.outcomes)[wanted.outcome]) > 0
end

local function has_text(text) -- in any of its forms
  local lower = string.lower(text)
  for _, form in ipairs(wanted.text) do
    if string.find(lower, form, 1, true) then
      return true
    end
  end
  return false
end

local function is_wanted(batch)
  if string.sub(batch, 1, #wanted.prefix) ~= wanted.prefix then
    return false
  end
  local entry = redis.pcall('HMGET', ENTRY .. batch, 'state', 'accepted', 'cause', 'summary', 'progress')
  local state, accepted = entry[1], tonumber(entry[2])
  if not accepted or (wanted.state ~= '' and state ~= wanted.state) then
    return false
  end
  if is_due and (accepted < tonumber(wanted.since) or accepted > tonumber(wanted.till)) then
    return false
  end
  local summary, progress = read_json(entry[4]), read_json(entry[5])
  local names = { batch, text_of(summary.display_name), text_of(progress.display_name), text_of(entry[3]) }
  return has_outcome(summary) and string.find(string.lower(text_of(summary.model)), wanted.model, 1, true) ~= nil
    and has_text(table.concat(names, '\n'))
end

local first, behind = find_bounds()
local left = math.min(size - behind - first, most_looked)
if left <= 0 then
  return { 0, 1, '', '', {} }
end
local rows = redis.call(is_newest_first and 'ZREVRANGE' or 'ZRANGE', set, first, first + left - 1, 'WITHSCORES')
local looked, found = 0, {}
while looked < left and #found < 2 * most_given do
  member, score = rows[2 * looked + 1], rows[2 * looked + 2]
  looked = looked + 1
  if is_wanted(member) then
    found[#found + 1] = member
    found[#found + 1] = score
  end
end
return { looked, first + looked >= size - behind and 1 or 0, score, member, found }
