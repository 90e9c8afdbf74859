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
  if not is_json then -- cjson takes no half of a surrogate pair, and Gemini lets names have some
    is_json, found = pcall(cjson.decode, (string.gsub(text, '\\u[dD][89a-fA-F]%x%x', '?')))
  end
  return is_json and type(found) == 'table' and found or {}
end

local function text_of(value)
  return type(value) == 'string' and value or ''
end

local function has_pattern(text, patterns)
  for _, pattern in ipairs(patterns) do
    if string.find(text, pattern) then
      return true
    end
  end
  return false
end

local function has_any(text, forms)
  for _, form in ipairs(forms) do
    if string.find(text, form, 1, true) then
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
  local cause, encoded, encoded_progress = text_of(entry[3]), text_of(entry[4]), text_of(entry[5])
  if has_pattern(encoded, wanted.outcome) == wanted.is_well then -- what well ones have is nothing of these
    return false
  end
  local lower = string.lower(batch .. cause .. encoded .. encoded_progress)
  if not has_any(lower, wanted.encoded_model) or not has_any(lower, wanted.encoded_text) then
    return false -- most end here: to decode JSON costs more than all else
  end
  local summary, progress = read_json(encoded), read_json(encoded_progress)
  local names = { batch, text_of(summary.display_name), text_of(progress.display_name), cause }
  return has_any(string.lower(text_of(summary.model)), wanted.model)
    and has_any(string.lower(table.concat(names, '\n')), wanted.text)
end

local first, behind = find_bounds()
local left = math.min(size - behind - first, most_looked)
if left <= 0 then
  return { 0, 1, '', '', {} }
end
local rows = redis.call(is_newest_first and 'ZREVRANGE' or 'ZRANGE', set, first, first + left - 1, 'WITHSCORES')
local looked, found = 0, {}
while 2 * looked < #rows and #found < 2 * most_given do
  member, score = rows[2 * looked + 1], rows[2 * looked + 2]
  looked = looked + 1
  if is_wanted(member) then
    found[#found + 1] = member
    found[#found + 1] = score
  end
end
return { looked, first + looked == size - behind and 1 or 0, score, member, found }
