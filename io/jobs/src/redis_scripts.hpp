// The scripts that make steps of kombu's format one step. kombu itself takes a message in one command and notes that it did in
// another: what is killed in between loses it. After these it finds the same keys as after its own commands.
#pragma once

#include <eddy/redis/script.hpp>

namespace eddy::jobs::detail {

/// KEYS: unacked, its index, the dead letters, a note of whose claim it is, then lists, in their order. ARGV: how many at most, now, whether
/// the reply to the claim before was lost, then the lists' queues. Returns tag, list, message, tag, list, message, … A message without a tag
/// cannot be acknowledged: it is a dead letter. After a lost reply, what was claimed then is given again, unless it is another's by now.
[[nodiscard]] inline const redis::script& claim_script() {
    static const redis::script s(R"(
local most, now, out = tonumber(ARGV[1]), ARGV[2], {}
local before = ARGV[3] == '1' and redis.call('GET', KEYS[4])
if before then
  before = cjson.decode(before)
  for i = 2, #before, 3 do
    local tag, list, tail = before[i], before[i + 1], before[i + 2]
    local claim, score = redis.call('HGET', KEYS[1], tag), redis.call('ZSCORE', KEYS[2], tag)
    if claim and score and tonumber(score) == tonumber(before[1]) then
      out[#out + 1] = tag
      out[#out + 1] = list
      out[#out + 1] = string.sub(claim, 2, #claim - #tail)
    end
  end
  if #out > 0 then return out end
end
local note = {now}
for i = 5, #KEYS do
  while #out < 3 * most do
    local m = redis.call('RPOP', KEYS[i])
    if not m then break end
    local ok, e = pcall(cjson.decode, m)
    local p = ok and type(e) == 'table' and e.properties
    local tag = type(p) == 'table' and p.delivery_tag
    if type(tag) ~= 'string' then
      redis.call('LPUSH', KEYS[3], cjson.encode({queue = ARGV[i - 1], reason = 'not a job\'s message', payload = m, at = now}))
    else
      redis.call('ZADD', KEYS[2], now, tag)
      local tail = ', "", ' .. cjson.encode(ARGV[i - 1]) .. ']'
      redis.call('HSET', KEYS[1], tag, '[' .. m .. tail)
      note[#note + 1] = tag
      note[#note + 1] = KEYS[i]
      note[#note + 1] = tail
      out[#out + 1] = tag
      out[#out + 1] = KEYS[i]
      out[#out + 1] = m
    end
  end
end
if #out > 0 then redis.call('SET', KEYS[4], cjson.encode(note), 'EX', 600) end
return out)");
    return s;
}

/// KEYS: a name, a list. ARGV: a message, whose it is, milliseconds: once for each name, for so long.
[[nodiscard]] inline const redis::script& enqueue_once_script() {
    static const redis::script s(R"(
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[1])
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1)");
    return s;
}

/// KEYS: unacked, its index, a list. ARGV: tag, message, score: it is put back only if it was claimed, and no later than that.
[[nodiscard]] inline const redis::script& put_back_script() {
    static const redis::script s(R"(
local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
if ARGV[3] ~= '' and (not score or tonumber(score) > tonumber(ARGV[3])) then return 0 end
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('RPUSH', KEYS[3], ARGV[2])
return 1)");
    return s;
}

/// KEYS: unacked, its index, what is put off. ARGV: tag, until when. kombu's workers see a claim that is from then, so that they put
/// it back in the end if none of ours is left to do so.
[[nodiscard]] inline const redis::script& put_off_script() {
    static const redis::script s(R"(
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[1])
return 1)");
    return s;
}

/// KEYS: the dead letters, a list. ARGV: the entry, its message: which one of two that revive it at a time sends, and the other does not.
[[nodiscard]] inline const redis::script& revive_script() {
    static const redis::script s(R"(
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[2])
return 1)");
    return s;
}

/// KEYS: a lock. ARGV: owner, milliseconds.
[[nodiscard]] inline const redis::script& lock_script() {
    static const redis::script s(R"(
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1)");
    return s;
}

/// KEYS: unacked, its index, the dead letters. ARGV: tag, entry, score: it is buried only if it was claimed, and no later than that.
[[nodiscard]] inline const redis::script& bury_expired_script() {
    static const redis::script s(R"(
local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not score or tonumber(score) > tonumber(ARGV[3]) then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('LPUSH', KEYS[3], ARGV[2])
return 1)");
    return s;
}

/// KEYS: unacked, its index. ARGV: tag: a time without a message is of no use. With a message it is a claim, which nobody would ever look for
/// without its time.
[[nodiscard]] inline const redis::script& forget_claim_script() {
    static const redis::script s(R"(
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end
return redis.call('ZREM', KEYS[2], ARGV[1]))");
    return s;
}

} // namespace eddy::jobs::detail
