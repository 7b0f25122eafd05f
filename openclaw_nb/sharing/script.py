"""The script that Redis runs for a batch of operations: claims, log entries, ends, leases, each of them atomic.

An operation is an array, its name first. Their results come back as pairs of place and value; what has none went well.
Times are Redis' own, in milliseconds, so that no two clocks have to agree. Keys of one run carry the same hash tag.

A run is a hash: ``full`` and ``part`` tell its request from others (see `record.fingerprints`), ``record`` is what was
asked, ``owner`` and ``epoch`` who may write its log, ``state`` how it ended. Whoever takes a run over raises its epoch,
so that an owner that was only asleep can write nothing more. ``owner`` "-" is nobody's: it was handed over.
"""

from __future__ import annotations

__all__ = ["NOBODY", "SCRIPT"]

NOBODY = "-"
"""The owner of runs that were handed over."""

SCRIPT = """
local P, me, call = ARGV[1], ARGV[2], redis.call
local LIFE, RETAIN, SESSION, MOST = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

local function run(id) return P .. ':{' .. id .. '}:run' end
local function log(id) return P .. ':{' .. id .. '}:log' end
local function queue(name) return P .. ':<' .. name .. '>:queue' end
local function said(name) return P .. ':<' .. name .. '>:said' end
local function owned(who) return P .. ':owned:' .. who end
local function channel(who) return P .. ':to:' .. who end
local ALIVE = P .. ':alive'

local function now()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function tell(who, ...)
  return call('PUBLISH', channel(who), cmsgpack.pack({...}))
end

-- Why nothing may be written to a run: '' where it may.
local function refusal(id, epoch)
  local known = call('HMGET', run(id), 'owner', 'epoch')
  if not known[1] then return 'gone' end
  return (known[1] == me and tonumber(known[2]) == epoch) and '' or 'taken'
end

local function write(id, entry)
  call('XADD', log(id), '*', 'e', entry)
  if call('XLEN', log(id)) == 1 then call('PEXPIRE', log(id), LIFE) end
  call('PUBLISH', log(id), entry)
end

-- The run whose turn it is in a session, or false; those that nobody knows any more lose their place.
local function first(name)
  local head = call('LINDEX', queue(name), 0)
  while head do
    local known = call('HMGET', run(head), 'owner', 'state')
    if known[1] and not known[2] then return head, known[1] end
    call('LPOP', queue(name))
    head = call('LINDEX', queue(name), 0)
  end
  return false
end

local function wait(name, id)
  local place = call('RPUSH', queue(name), id)
  if place == 1 then call('PEXPIRE', queue(name), LIFE) end
  return place == 1 or first(name) == id
end

local function leave(name, id)
  if call('LINDEX', queue(name), 0) ~= id then
    call('LREM', queue(name), 0, id)
  else
    call('LPOP', queue(name))
    local head, owner = first(name)
    if head and owner ~= '-' then tell(owner, 'turn', head) end
  end
end

-- A log is a stream while its run is at work; a short one is packed into the run when that ends, as a stream takes
-- 4 KiB even for one entry.
local function entries(id, packed)
  if packed then return cmsgpack.unpack(packed) end
  local told = {}
  for _, one in ipairs(call('XRANGE', log(id), '-', '+')) do told[#told + 1] = one[2][2] end
  return told
end

-- What was said in a session is a list; its head says which beginning it goes on from, so that a place in it is
-- HEAD/COUNT. It is a list for the same reason.
local function head_of(what)
  local t = call('TIME')
  return what .. t[1] .. '.' .. t[2]
end

local function place(name, count)
  return call('LINDEX', said(name), 0) .. '/' .. count
end

-- What comes after a place: {the place now, whether it began anew, entry, entry, ...}, or {} where nothing does.
local function heard(name, seen)
  local head = call('LINDEX', said(name), 0)
  if not head then return {} end
  local known = string.sub(seen, 1, #head + 1) == head .. '/'
  local from = known and tonumber(string.sub(seen, #head + 2)) or 1
  local told = call('LRANGE', said(name), from, -1)
  if known and #told == 0 then return {} end
  table.insert(told, 1, head .. '/' .. from + #told)
  table.insert(told, 2, not known and string.sub(head, 1, 4) == 'anew')
  return told
end

local function add(name, pair)
  local key = said(name)
  local count = call('RPUSHX', key, pair)
  if count == 0 then count = call('RPUSH', key, head_of('said'), pair) end
  call('PEXPIRE', key, SESSION)
  if count > 2 * MOST then
    call('LTRIM', key, -MOST, -1)
    call('LPUSH', key, head_of('said'))
    return ''
  end
  return place(name, count)
end

local function dead(who)
  if who == '-' then return true end
  local until_ = call('ZSCORE', ALIVE, who)
  return not until_ or tonumber(until_) < now() or call('PUBSUB', 'NUMSUB', channel(who))[2] == 0
end

local do_ = {}

function do_.claim(id, full, part, record, name, seen, retry, queued, entry)
  local known, epoch = call('HMGET', run(id), 'full', 'part', 'state', 'epoch'), 1
  if known[1] then
    if known[1] ~= full and not (retry and known[2] == part) then return {'conflict'} end
    if not (retry and known[3] and known[3] ~= 'final') then return {'known'} end
    epoch = tonumber(known[4]) + 1
    call('DEL', run(id), log(id))
  end
  call('HSET', run(id), 'full', full, 'part', part, 'record', record, 'owner', me, 'epoch', epoch)
  call('PEXPIRE', run(id), LIFE)
  call('SADD', owned(me), id)
  if entry ~= '' then write(id, entry) end
  local turn = not queued or wait(name, id)
  return {'new', epoch, turn, name ~= '' and heard(name, seen) or {}}
end

function do_.write(id, epoch, entry)
  local no = refusal(id, epoch)
  if no ~= '' then return no end
  write(id, entry)
end

function do_.finish(id, epoch, entry, state, name, queued, pair, into, seen)
  local no = refusal(id, epoch)
  if no ~= '' then return no end
  local long = call('XLEN', log(id))
  if long > 16 then
    write(id, entry)
    call('HSET', run(id), 'state', state)
    call('PEXPIRE', log(id), RETAIN)
  else
    local packed = long > 0 and entries(id) or {}
    packed[#packed + 1] = entry
    call('HSET', run(id), 'state', state, 'log', cmsgpack.pack(packed))
    if long > 0 then call('UNLINK', log(id)) end
    call('PUBLISH', log(id), entry)
  end
  call('SREM', owned(me), id)
  call('PEXPIRE', run(id), RETAIN)
  local at = ''
  if pair ~= '' then
    local count = call('LLEN', said(into))
    local follows = seen == (count > 0 and place(into, count) or '')
    local now_at = add(into, pair)
    at = follows and now_at or ''
  end
  if queued then leave(name, id) end
  if at ~= '' then return {'at', at} end
end

-- A run that went on while this Redis was away, as whoever has it knows it.
function do_.restore(id, epoch, full, part, record, name, queued)
  local no = refusal(id, epoch)
  if no == 'taken' then
    if call('HGET', run(id), 'owner') ~= me then return no end
    call('HSET', run(id), 'epoch', epoch)  -- claimed here, and the answer never came
  elseif no == 'gone' then
    call('HSET', run(id), 'full', full, 'part', part, 'record', record, 'owner', me, 'epoch', epoch)
    call('SADD', owned(me), id)
    call('PEXPIRE', run(id), LIFE)
    if queued then wait(name, id) end
  end
end

function do_.find(id)
  local known = call('HMGET', run(id), 'record', 'full', 'part', 'log')
  if not known[1] then return {} end
  return {known[1], known[2], known[3], entries(id, known[4])}
end

function do_.check(id, epoch)
  local no = refusal(id, epoch)
  if no ~= '' then return no end
end

-- Something for whoever has a run at work, kept in case that one does not hear it any more.
function do_.ask(id, what, value)
  local known = call('HMGET', run(id), 'owner', 'state')
  if not known[1] or known[2] then return 'over' end
  if what == 'due' then
    call('HSETNX', run(id), 'due', now() + value)
    return
  end
  call('HSET', run(id), what, value)
  if known[1] ~= '-' then tell(known[1], what, id, value) end
end

function do_.session(name, seen, id)
  return {heard(name, seen), id ~= '' and first(name) == id}
end

function do_.at_work(name)
  return call('LRANGE', queue(name), 0, -1)
end

function do_.say(name, pair)
  add(name, pair)
end

function do_.begin(name, pair)
  if call('EXISTS', said(name)) == 0 then add(name, pair) end
end

function do_.anew(name)
  call('DEL', said(name))
  call('RPUSH', said(name), head_of('anew'))
  call('PEXPIRE', said(name), SESSION)
end

function do_.beat(lease)
  local time = now()
  local fresh = call('ZADD', ALIVE, time + lease, me) == 1
  local silent, others = {}, 0
  local all = call('ZRANGE', ALIVE, 0, -1, 'WITHSCORES')
  for i = 1, #all, 2 do
    local who = all[i]
    if who ~= me then
      if tonumber(all[i + 1]) < time then silent[#silent + 1] = {who, true}
      elseif call('PUBSUB', 'NUMSUB', channel(who))[2] == 0 then silent[#silent + 1] = {who, false}
      else others = others + 1 end
    end
  end
  if call('EXISTS', owned('-')) == 1 then silent[#silent + 1] = {'-', true} end
  return {fresh, others, silent}
end

function do_.take(who, most)
  local taken = {}
  if who == me or not dead(who) then return taken end
  for _, id in ipairs(call('SPOP', owned(who), most)) do
    local known = call('HMGET', run(id), 'owner', 'state', 'record', 'abort', 'level', 'due', 'full', 'part')
    if known[1] == who and not known[2] then
      call('HSET', run(id), 'owner', me)
      local epoch = call('HINCRBY', run(id), 'epoch', 1)
      call('SADD', owned(me), id)
      taken[#taken + 1] = {
        id, epoch, known[3], known[4] or '', tonumber(known[5] or 0), known[6] and tonumber(known[6]) - now() or false,
        entries(id), known[7], known[8],
      }
    end
  end
  if who ~= '-' and call('EXISTS', owned(who)) == 0 then call('ZREM', ALIVE, who) end
  return taken
end

function do_.free(id, epoch)
  if refusal(id, epoch) ~= '' then return end
  call('HSET', run(id), 'owner', '-')
  call('SMOVE', owned(me), owned('-'), id)
end

function do_.call_all()
  for _, who in ipairs(call('ZRANGE', ALIVE, 0, -1)) do
    if who ~= me then tell(who, 'free') end
  end
end

function do_.forget(id)
  call('UNLINK', run(id), log(id))
end

function do_.goodbye()
  if call('EXISTS', owned(me)) == 0 then call('ZREM', ALIVE, me) end
end

local results = {}
for at, op in ipairs(cmsgpack.unpack(ARGV[3])) do
  local result = do_[op[1]](unpack(op, 2))
  if result ~= nil then results[#results + 1] = {at - 1, result} end
end
return cmsgpack.pack(results)
"""
