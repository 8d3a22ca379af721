/**
 * What Redis does with a batch, as one script, which it runs alone and to its end. MULTI would not do: it goes on behind a command that fails,
 * so of a batch that somebody's entry got into, the end would be added without its beginning, a hole that can never be filled; and a WATCH
 * that prevents that never gets through beside consumers that delete what they have read.
 *
 * First it only looks. An entry whose id is beyond the stream's last is new. Any other must be there, or have been:
 *
 * | the stream has at this id | becomes |
 * |---|---|
 * | an entry with the same event id | it is there |
 * | nothing, and `written` says that this delivery was written | it was there, and was trimmed or deleted |
 * | another entry, or nothing | the batch is refused, nothing is added |
 *
 * Then it adds what is new, in order. Should that fail in the middle (it does not: memory, role and permissions are judged at the first), what
 * was added is a beginning, and a repeat goes on behind it.
 *
 * `written` is a hash beside the stream: the delivery series and the first and last seq of the last deliveries that were written without a gap.
 * It is changed after the entries, always, so that WAIT has something to wait for.
 *
 *   KEYS  stream, written
 *   ARGV  'live' or 'replay'    a replay's entries get the server's ids: theirs have long been passed
 *         after                 the last id that this writer knows to be there, or ''
 *         entriesMax            or ''
 *         acknowledged          '1': trim what all groups have acknowledged
 *         n, n names            of fields, the event's id first
 *         then of each entry: id, series, seq, n values
 *
 * It answers { 'ok', how many were added, then the groups that had not read what entriesMax took out } or says why not: { 'lost', last id }, { 'other', number in the batch, event id there },
 * { 'passed', number in the batch, last id, its event id }.
 */
import { createHash } from 'node:crypto';

const LUA = `
local stream, written = KEYS[1], KEYS[2]
local isReplay, after, entriesMax, acknowledged = ARGV[1] == 'replay', ARGV[2], ARGV[3], ARGV[4] == '1'
local fields = tonumber(ARGV[5])
local first, size = 6 + fields, 3 + fields
local count = (#ARGV - first + 1) / size

local function call(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    -- Redis does not say which of the two.
    local key = select(2, ...) == written and written or stream
    if string.match(reply.err, '^WRONGTYPE') then error({ err = reply.err .. ': ' .. key }) end
    error(reply)
  end
  return reply
end

local function below(a, b)
  local ams, aseq = string.match(a, '^(%d+)-(%d+)$')
  local bms, bseq = string.match(b, '^(%d+)-(%d+)$')
  ams, aseq, bms, bseq = tonumber(ams), tonumber(aseq), tonumber(bms), tonumber(bseq)
  return ams < bms or (ams == bms and aseq < bseq)
end

local function member(list, name)
  for i = 1, #list, 2 do if list[i] == name then return list[i + 1] end end
end

local function eventAt(id)
  local found = call('XRANGE', stream, id, id)
  if #found == 0 then return nil end
  return member(found[1][2], ARGV[6]) or ''
end

-- What each group would be given next.
local function unread()
  local next = {}
  for _, group in ipairs(call('XINFO', 'GROUPS', stream)) do
    -- An id without what is at it, as '(' says from Redis 6.2 on.
    local ms, seq = string.match(member(group, 'last-delivered-id'), '^(%d+)-(%d+)$')
    local found = call('XRANGE', stream, ms .. '-' .. string.format('%.0f', tonumber(seq) + 1), '+', 'COUNT', 1)
    if #found > 0 then next[member(group, 'name')] = found[1][1] end
  end
  return next
end

local function trimAcknowledged()
  local oldest
  for _, group in ipairs(call('XINFO', 'GROUPS', stream)) do
    local id = member(group, 'last-delivered-id')
    local pending = call('XPENDING', stream, member(group, 'name'))
    if pending[1] > 0 then id = pending[2] end
    if oldest == nil or below(id, oldest) then oldest = id end
  end
  if oldest then call('XTRIM', stream, 'MINID', '~', oldest) end
end

local function run()
  local top = '0-0'
  if call('EXISTS', stream) == 1 then top = member(call('XINFO', 'STREAM', stream), 'last-generated-id') end
  if after ~= '' and below(top, after) then return { 'lost', top } end

  local known = call('HMGET', written, 'series', 'from', 'to')
  local series, from, to = known[1], tonumber(known[2] or 0), tonumber(known[3] or 0)
  local function isWritten(at)
    local seq = tonumber(ARGV[at + 2])
    return ARGV[at + 1] == series and seq >= from and seq <= to
  end

  local new = count
  for i = 0, count - 1 do
    local at = first + i * size
    local id = ARGV[at]
    if isReplay then
      if not isWritten(at) then new = i break end
    else
      if below(top, id) then new = i break end
      local event = eventAt(id)
      if event ~= nil and event ~= ARGV[at + 3] then return { 'other', i, event } end
      if event == nil and not isWritten(at) then return { 'passed', i, top, eventAt(top) or '' } end
    end
  end

  local waiting = entriesMax ~= '' and top ~= '0-0' and unread() or {}
  for i = new, count - 1 do
    local at = first + i * size
    local command = { 'XADD', stream }
    if entriesMax ~= '' then
      command[3], command[4], command[5] = 'MAXLEN', '~', entriesMax
    end
    command[#command + 1] = isReplay and '*' or ARGV[at]
    for field = 1, fields do
      command[#command + 1] = ARGV[5 + field]
      command[#command + 1] = ARGV[at + 2 + field]
    end
    call(unpack(command))
  end

  for i = 0, count - 1 do
    local at = first + i * size
    local seq = tonumber(ARGV[at + 2])
    if not series or (i >= new and (ARGV[at + 1] ~= series or seq ~= to + 1)) then
      series, from, to = ARGV[at + 1], seq, seq
    elseif ARGV[at + 1] == series and seq == to + 1 then
      to = seq
    end
  end
  call('HSET', written, 'series', series, 'from', string.format('%.0f', from), 'to', string.format('%.0f', to))
  if acknowledged then trimAcknowledged() end
  local answer = { 'ok', count - new }
  for group, id in pairs(waiting) do
    if #call('XRANGE', stream, id, id) == 0 then answer[#answer + 1] = group end
  end
  return answer
end

local isDone, answer = pcall(run)
if isDone then return answer end
if type(answer) == 'table' and answer.err then return { err = answer.err } end
return redis.error_reply(tostring(answer))
`;

export const BATCH_SCRIPT = { lua: LUA, sha1: createHash('sha1').update(LUA).digest('hex') } as const;
