// RQ's steps, each of them one: what RQ itself does in several commands, between which a worker that is killed loses a job or a
// dependent. After these it finds the same keys. ARGV[1] is what all keys begin with: "rq:".
#pragma once

#include <string>

#include <eddy/redis/script.hpp>

namespace eddy::jobs::detail::rq {

/// What the scripts share. `iso` is now as RQ writes it, `now` in seconds since 1970.
inline constexpr const char* library = R"(
local p = ARGV[1]
local function job(id) return p .. 'job:' .. id end
local function get(id, field) return redis.call('HGET', job(id), field) end
local function number(id, field) local v = get(id, field) return v and tonumber(v) end
local function exists(id) return redis.call('EXISTS', job(id)) == 1 end
local function at(seconds) return string.format('%.6f', seconds) end
local function push(id, iso, front)
  local q = get(id, 'origin')
  if not q then return end
  local list = p .. 'queue:' .. q
  redis.call('SADD', p .. 'queues', list)
  redis.call('HSET', job(id), 'status', 'queued', 'enqueued_at', iso)
  if not get(id, 'timeout') then redis.call('HSET', job(id), 'timeout', 180) end
  local ttl = number(id, 'ttl')
  if ttl and ttl > 0 then redis.call('EXPIRE', job(id), ttl) end
  redis.call(front and 'LPUSH' or 'RPUSH', list, id)
end
local function schedule(id, when)
  local q = get(id, 'origin')
  redis.call('SADD', p .. 'queues', p .. 'queue:' .. q)
  redis.call('HSET', job(id), 'status', 'scheduled')
  redis.call('ZADD', p .. 'scheduled:' .. q, at(when), id)
end
local function met(id, parent, status)
  local allow = get(id, 'allow_dependency_failures') == '1'
  for _, d in ipairs(redis.call('SMEMBERS', p .. 'job::' .. id .. ':dependencies')) do
    local s = d == parent and status or get(d, 'status')
    if s and s ~= 'finished' and not (allow and s == 'failed') then return false end
  end
  return true
end
local function follow(id, status, iso)
  local set = job(id) .. ':dependents'
  for _, d in ipairs(redis.call('SMEMBERS', set)) do
    local s = get(d, 'status')
    if s ~= 'deferred' then
      redis.call('SREM', set, d)
    elseif met(d, id, status) then
      redis.call('SREM', set, d)
      redis.call('ZREM', p .. 'deferred:' .. get(d, 'origin'), d)
      push(d, iso, get(d, 'enqueue_at_front') == '1')
    end
  end
end
local function erase(id)
  redis.call('DEL', job(id), job(id) .. ':dependents', p .. 'job::' .. id .. ':dependencies', p .. 'results:' .. id)
end
local function keep(id, ttl)
  for _, k in ipairs({job(id), job(id) .. ':dependents', p .. 'job::' .. id .. ':dependencies', p .. 'results:' .. id}) do
    if ttl > 0 then redis.call('EXPIRE', k, ttl) else redis.call('PERSIST', k) end
  end
end
local function succeed(id, value, usual, now, iso)
  local ttl = number(id, 'result_ttl') or usual
  redis.call('HSET', job(id), 'status', 'finished', 'ended_at', iso)
  follow(id, 'finished', iso)
  if ttl == 0 then return erase(id) end
  if value == '' then
    redis.call('XADD', p .. 'results:' .. id, 'MAXLEN', '~', 10, '*', 'type', 1)
  else
    redis.call('XADD', p .. 'results:' .. id, 'MAXLEN', '~', 10, '*', 'type', 1, 'return_value', value)
  end
  keep(id, ttl)
  redis.call('ZADD', p .. 'finished:' .. get(id, 'origin'), ttl > 0 and at(now + ttl) or '+inf', id)
end
local function fail(id, status, text, now, iso)
  local ttl = number(id, 'failure_ttl') or 31536000
  redis.call('HSET', job(id), 'status', status, 'ended_at', iso)
  follow(id, status, iso)
  if ttl == 0 then return erase(id) end
  redis.call('XADD', p .. 'results:' .. id, 'MAXLEN', '~', 10, '*', 'type', 2, 'exc_string', text)
  keep(id, ttl)
  redis.call('ZADD', p .. 'failed:' .. get(id, 'origin'), ttl > 0 and at(now + ttl) or -1, id)
end
local function again(id, pause, now, iso)
  local left = number(id, 'retries_left') or 0
  if pause == '' then
    local ok, all = pcall(cjson.decode, get(id, 'retry_intervals') or '[]')
    pause = ok and type(all) == 'table' and all[math.max(#all - left, 0) + 1]
  end
  pause = tonumber(pause or 0) or 0
  redis.call('HINCRBY', job(id), 'number_of_retries', 1)
  if left > 0 then redis.call('HSET', job(id), 'retries_left', left - 1) end
  if pause > 0 then schedule(id, now + pause) else push(id, iso, false) end
end
local registries = {'wip:', 'finished:', 'failed:', 'deferred:', 'scheduled:', 'canceled:'}
local function unregister(id)
  local q = get(id, 'origin')
  if not q then return end
  for _, r in ipairs(registries) do redis.call('ZREM', p .. r .. q, id) end
end
local function withdraw(id)
  local q = get(id, 'origin')
  if q then redis.call('LREM', p .. 'queue:' .. q, 0, id) end
  unregister(id)
end
local function working(worker, current)
  if worker == '' or redis.call('EXISTS', worker) == 0 then return end
  if current == '' then
    redis.call('HDEL', worker, 'current_job')
    redis.call('HSET', worker, 'state', 'idle')
  else
    redis.call('HSET', worker, 'state', 'busy', 'current_job', current)
  end
end
)";

[[nodiscard]] inline redis::script with_library(const char* body) {
    return redis::script(std::string(library) + body);
}

/// ARGV: id, queue, iso, now, mode ("back", "front" or a time), a name under which it happens once, or '', and for how many milliseconds, how many dependencies, these, fields and values.
[[nodiscard]] inline const redis::script& enqueue_script() {
    static const redis::script s = with_library(R"(
local id, q, iso, now, mode, once, n = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6], ARGV[7], tonumber(ARGV[9])
if once ~= '' and redis.call('EXISTS', once) == 1 then return 0 end
redis.call('HSET', job(id), 'origin', q, unpack(ARGV, 10 + n))
redis.call('SADD', p .. 'queues', p .. 'queue:' .. q)
local allow, wait = get(id, 'allow_dependency_failures') == '1', false
for i = 10, 9 + n do
  local s = get(ARGV[i], 'status')
  if s and s ~= 'finished' and not (allow and s == 'failed') then wait = true end
end
if wait then
  for i = 10, 9 + n do
    redis.call('SADD', job(ARGV[i]) .. ':dependents', id)
    redis.call('SADD', p .. 'job::' .. id .. ':dependencies', ARGV[i])
  end
  redis.call('HSET', job(id), 'status', 'deferred')
  redis.call('ZADD', p .. 'deferred:' .. q, math.floor(now), id)
  local ttl = number(id, 'ttl')
  if ttl and ttl > 0 then redis.call('EXPIRE', job(id), ttl) end
elseif mode == 'back' or mode == 'front' then
  push(id, iso, mode == 'front')
else
  schedule(id, tonumber(mode))
end
if once ~= '' then redis.call('SET', once, id, 'PX', ARGV[8]) end
return 1)");
    return s;
}

/// ARGV: how many at most, when the claims end, a note of whose they are, whether the reply to the claim before was lost, then queues.
/// Returns 1 or 0, and id, queue, fields, id, queue, fields, …; fields of a job that is gone are none; nil: all workers are suspended. 1: after
/// a lost reply, what was claimed then is given again, unless it has ended or is another's by now.
[[nodiscard]] inline const redis::script& claim_script() {
    static const redis::script s = with_library(R"(
local most, until_then, noted, out = tonumber(ARGV[2]), ARGV[3], p .. ARGV[4], {0}
local function give(id, q, fields)
  out[#out + 1] = id
  out[#out + 1] = q
  out[#out + 1] = fields
end
local before = ARGV[5] == '1' and redis.call('GET', noted)
if before then
  before = cjson.decode(before)
  for i = 2, #before, 2 do
    local id, q = before[i], before[i + 1]
    local score = redis.call('ZSCORE', p .. 'wip:' .. q, id)
    if score and tonumber(score) == tonumber(before[1]) then give(id, q, redis.call('HGETALL', job(id))) end
  end
  if #out > 1 then
    out[1] = 1
    return out
  end
end
if redis.call('EXISTS', p .. 'suspended') == 1 then return false end
local note = {until_then}
for i = 6, #ARGV do
  local q = ARGV[i]
  while #out < 1 + 3 * most do
    local id = redis.call('LPOP', p .. 'queue:' .. q)
    if not id then break end
    local fields = redis.call('HGETALL', job(id))
    if get(id, 'status') ~= 'canceled' then
      if #fields > 0 then
        redis.call('ZADD', p .. 'wip:' .. q, until_then, id)
        note[#note + 1] = id
        note[#note + 1] = q
      end
      give(id, q, fields)
    end
  end
end
if #note > 1 then redis.call('SET', noted, cjson.encode(note), 'EX', 600) end
return out)");
    return s;
}

/// ARGV: id, queue, iso, when the claim ends ('' for one that has ended), worker's key, its name. 0: it is not to run.
[[nodiscard]] inline const redis::script& start_script() {
    static const redis::script s = with_library(R"(
local id, q, iso = ARGV[2], ARGV[3], ARGV[4]
if not exists(id) or get(id, 'status') == 'canceled' then return 0 end
redis.call('HSET', job(id), 'status', 'started', 'started_at', iso, 'ended_at', '', 'last_heartbeat', iso, 'worker_name', ARGV[7])
redis.call('PERSIST', job(id))
if ARGV[5] ~= '' then redis.call('ZADD', p .. 'wip:' .. q, ARGV[5], id) end
working(ARGV[6], id)
return 1)");
    return s;
}

/// ARGV: id, queue, iso, now, status, value or text, usual result TTL, worker's key, its next job, seconds. Said twice, it happens once.
[[nodiscard]] inline const redis::script& finish_script() {
    static const redis::script s = with_library(R"(
local id, q, iso, now, status = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
redis.call('ZREM', p .. 'wip:' .. q, id)
if get(id, 'ended_at') == iso and get(id, 'status') == status then return 0 end
working(ARGV[9], ARGV[10])
if ARGV[9] ~= '' and redis.call('EXISTS', ARGV[9]) == 1 then
  redis.call('HINCRBY', ARGV[9], status == 'finished' and 'successful_job_count' or 'failed_job_count', 1)
  redis.call('HINCRBYFLOAT', ARGV[9], 'total_working_time', ARGV[11])
end
if not exists(id) then return 0 end
unregister(id)
if status == 'finished' then succeed(id, ARGV[7], tonumber(ARGV[8]), now, iso) else fail(id, status, ARGV[7], now, iso) end
return 1)");
    return s;
}

/// ARGV: id, queue, iso, now, pause ('' for the job's own), worker's key, its next job, whether the claim has ended before ("1"). Nothing if
/// the claim was lost, and said twice, it happens once.
[[nodiscard]] inline const redis::script& retry_script() {
    static const redis::script s = with_library(R"(
local id, q, iso, now = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local claimed = redis.call('ZREM', p .. 'wip:' .. q, id) == 1
working(ARGV[7], ARGV[8])
if not exists(id) or get(id, 'ended_at') == iso or not (claimed or ARGV[9] == '1') then return 0 end
if ARGV[7] ~= '' and redis.call('EXISTS', ARGV[7]) == 1 then redis.call('HINCRBY', ARGV[7], 'failed_job_count', 1) end
redis.call('HSET', job(id), 'ended_at', iso)
again(id, ARGV[6], now, iso)
return 1)");
    return s;
}

/// A claim ends, and the job is queued again, first in line, or is canceled, or stays as it is. ARGV: id, queue, iso, now, what ("back",
/// "cancel" or "leave"), how often it was given out, worker's key, its next job.
[[nodiscard]] inline const redis::script& release_script() {
    static const redis::script s = with_library(R"(
local id, q, iso, now, what = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
local claimed = redis.call('ZREM', p .. 'wip:' .. q, id) == 1
working(ARGV[8], ARGV[9])
if not claimed or not exists(id) or get(id, 'status') == 'canceled' then return 0 end
if what == 'back' then
  if ARGV[7] ~= '' then redis.call('HSET', job(id), 'eddy_deliveries', ARGV[7]) end
  push(id, iso, true)
elseif what == 'cancel' then
  redis.call('HSET', job(id), 'status', 'canceled', 'ended_at', iso)
  redis.call('ZADD', p .. 'canceled:' .. q, math.floor(now), id)
  keep(id, 31536000)
end
return 1)");
    return s;
}

/// A claim ends, and the job waits for a time. ARGV: id, queue, until when, worker's key, its next job.
[[nodiscard]] inline const redis::script& put_off_script() {
    static const redis::script s = with_library(R"(
local id, q = ARGV[2], ARGV[3]
local claimed = redis.call('ZREM', p .. 'wip:' .. q, id) == 1
working(ARGV[5], ARGV[6])
if claimed and exists(id) and get(id, 'status') ~= 'canceled' then schedule(id, tonumber(ARGV[4])) end
return 1)");
    return s;
}

/// ARGV: id, meta.
[[nodiscard]] inline const redis::script& meta_script() {
    static const redis::script s = with_library(R"(
if exists(ARGV[2]) then redis.call('HSET', job(ARGV[2]), 'meta', ARGV[3]) end
return 1)");
    return s;
}

/// Claims go on. ARGV: until when, iso, then queue, id, queue, id, …
[[nodiscard]] inline const redis::script& refresh_script() {
    static const redis::script s = with_library(R"(
for i = 4, #ARGV, 2 do
  redis.call('ZADD', p .. 'wip:' .. ARGV[i], 'XX', ARGV[2], ARGV[i + 1])
  if exists(ARGV[i + 1]) then redis.call('HSET', job(ARGV[i + 1]), 'last_heartbeat', ARGV[3]) end
end
return 1)");
    return s;
}

/// ARGV: now, iso, what is said of an abandoned job, then queues. Returns how many were abandoned. Members of newer RQs are JOB:EXECUTION.
/// What was claimed and never started is queued again.
[[nodiscard]] inline const redis::script& clean_script() {
    static const redis::script s = with_library(R"(
local now, iso, n = tonumber(ARGV[2]), ARGV[3], 0
local over = {finished = 1, failed = 1, stopped = 1, canceled = 1}
for i = 5, #ARGV do
  local wip = p .. 'wip:' .. ARGV[i]
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', wip, 0, now, 'LIMIT', 0, 100)) do
    redis.call('ZREM', wip, member)
    local id = exists(member) and member or string.match(member, '^([^:]*):') or member
    local status = get(id, 'status')
    if exists(id) and not over[status] then
      n = n + 1
      if status == 'queued' then push(id, iso, true)
      elseif (number(id, 'retries_left') or 0) > 0 then again(id, '', now, iso)
      else fail(id, 'failed', ARGV[4], now, iso) end
    end
  end
  redis.call('ZREMRANGEBYSCORE', p .. 'finished:' .. ARGV[i], 0, now)
  redis.call('ZREMRANGEBYSCORE', p .. 'failed:' .. ARGV[i], 0, now)
  for _, w in ipairs(redis.call('SMEMBERS', p .. 'workers:' .. ARGV[i])) do
    if redis.call('EXISTS', w) == 0 then
      redis.call('SREM', p .. 'workers:' .. ARGV[i], w)
      redis.call('SREM', p .. 'workers', w)
    end
  end
end
return n)");
    return s;
}

/// ARGV: now, iso, process, then queue, whether its lock was ours ("1"), queue, … Returns which locks are ours ("10…"), and the time of the next
/// job that is scheduled in these queues.
[[nodiscard]] inline const redis::script& schedule_script() {
    static const redis::script s = with_library(R"(
local now, iso, pid, ours, next = tonumber(ARGV[2]), ARGV[3], ARGV[4], '', false
for i = 5, #ARGV, 2 do
  local lock, set = p .. 'scheduler-lock:' .. ARGV[i], p .. 'scheduled:' .. ARGV[i]
  local owner = redis.call('GET', lock)
  if not owner or (ARGV[i + 1] == '1' and owner == pid) then
    redis.call('SET', lock, pid, 'EX', 61)
    ours = ours .. '1'
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', set, 0, now, 'LIMIT', 0, 1000)) do
      redis.call('ZREM', set, id)
      if exists(id) then push(id, iso, get(id, 'enqueue_at_front') == '1') end
    end
    local first = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')[2]
    if first and (not next or tonumber(first) < tonumber(next)) then next = first end
  else
    ours = ours .. '0'
  end
end
return {ours, next or ''})");
    return s;
}

/// ARGV: id, now. Returns the worker's name if it runs, which changes nothing; else 1, or 0 if there is no such job or it was canceled.
[[nodiscard]] inline const redis::script& cancel_script() {
    static const redis::script s = with_library(R"(
local id, status = ARGV[2], get(ARGV[2], 'status')
if not exists(id) or status == 'canceled' then return 0 end
if status == 'started' then return get(id, 'worker_name') end
withdraw(id)
redis.call('HSET', job(id), 'status', 'canceled')
redis.call('ZADD', p .. 'canceled:' .. get(id, 'origin'), ARGV[3], id)
return 1)");
    return s;
}

/// ARGV: id, iso. 0 if it has not failed.
[[nodiscard]] inline const redis::script& requeue_script() {
    static const redis::script s = with_library(R"(
local id, q = ARGV[2], get(ARGV[2], 'origin')
if not q or redis.call('ZREM', p .. 'failed:' .. q, id) == 0 then return 0 end
redis.call('HSET', job(id), 'started_at', '', 'ended_at', '')
redis.call('HDEL', job(id), 'exc_info', 'eddy_deliveries')
redis.call('PERSIST', job(id))
push(id, ARGV[3], false)
return 1)");
    return s;
}

/// ARGV: id.
[[nodiscard]] inline const redis::script& delete_script() {
    static const redis::script s = with_library(R"(
withdraw(ARGV[2])
erase(ARGV[2])
return 1)");
    return s;
}

/// ARGV: queue. Returns how many jobs were in it.
[[nodiscard]] inline const redis::script& purge_script() {
    static const redis::script s = with_library(R"(
local n = 0
while true do
  local id = redis.call('LPOP', p .. 'queue:' .. ARGV[2])
  if not id then return n end
  erase(id)
  n = n + 1
end)");
    return s;
}

} // namespace eddy::jobs::detail::rq
