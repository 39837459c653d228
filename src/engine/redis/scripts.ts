/**
 * The Lua scripts that run in Redis. Each is atomic: no other command runs during a script. A script that fails has
 * written nothing, because a server that must not be written to refuses the first write.
 *
 * Keys of a channel: its meta, a hash of epoch (`e`), top (`s`) and replication id (`r`); its list of messages; its
 * PUB/SUB channel; and one key per idempotency key. Messages are encoded by message.ts.
 *
 * The epoch belongs to one `master_replid`, which Redis changes at each promotion and each restart: both can lose
 * acknowledged writes, and an offset must not be given twice in one epoch.
 */

/** Sets `id`, `ms` and `current`, which returns the epoch and the top of a channel and makes a missing epoch. */
const prelude = `
local function replid()
  local info = redis.pcall('INFO', 'replication')
  return type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or ''
end
local id = replid()
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local newEpochs, failovers = 0, 0
local function current(meta, list, fresh)
  local found = redis.call('HMGET', meta, 'e', 's', 'r')
  if found[1] and found[2] and found[3] == id then return found[1], tonumber(found[2]) end
  redis.call('DEL', meta, list)
  redis.call('HSET', meta, 'e', fresh, 's', 0, 'r', id)
  if found[1] then failovers = failovers + 1 else newEpochs = newEpochs + 1 end
  return fresh, 0
end
local function text(number) return string.format('%.0f', number) end
`;

/**
 * Stores and publishes a batch.
 * KEYS: the last number of each worker; then of each append: meta, list, PUB/SUB channel, and its idempotency key, or
 * the meta again.
 * ARGV: number of workers, fresh epoch, lifetime of idempotency keys and of numbers in ms; then of each append: index
 * of its worker, number, history size, history and meta lifetime in ms, `1` with an idempotency key, the stored and
 * the live part of the message.
 * Answer: new epochs, epochs that a failover has ended, trimmed messages; then of each append `new`, `key` or `retry`,
 * its epoch (empty: not known) and its offset.
 */
const publish = `${prelude}
local workers, fresh, keyMs, workerMs = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local last, trimmed, out = {}, 0, { 0, 0, 0 }
for w = 1, workers do last[w] = tonumber(redis.call('GET', KEYS[w]) or 0) end
local function answer(kind, epoch, offset)
  out[#out + 1] = kind
  out[#out + 1] = epoch
  out[#out + 1] = offset
end
local lists = {}
local function find(list, stored)
  local tag = string.sub(stored, 1, 7 + string.byte(stored))
  lists[list] = lists[list] or redis.call('LRANGE', list, 0, -1)
  for i = #lists[list], 1, -1 do
    local element = lists[list][i]
    if string.sub(element, 17, 16 + #tag) == tag then return text(struct.unpack('>d', element)) end
  end
  return nil
end
for i = 0, (#ARGV - 4) / 8 - 1 do
  local k, a = workers + i * 4, 4 + i * 8
  local meta, list, channel, key = KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], KEYS[k + 4]
  local worker, number, size = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
  local ttl, metaTtl, keyed, stored, live = ARGV[a + 4], ARGV[a + 5], ARGV[a + 6] == '1', ARGV[a + 7], ARGV[a + 8]
  if number <= last[worker] then
    local epoch = redis.call('HMGET', meta, 'e', 'r')
    local offset = epoch[1] and epoch[2] == id and find(list, stored)
    local known = not offset and keyed and redis.call('HMGET', key, 'e', 'o')
    if offset then answer('retry', epoch[1], offset)
    elseif known and known[1] then answer('retry', known[1], known[2])
    else answer('retry', '', '0') end
  else
    last[worker] = number
    local known = keyed and redis.call('HMGET', key, 'e', 'o')
    if known and known[1] then
      answer('key', known[1], known[2])
    else
      local epoch = current(meta, list, fresh .. i)
      local offset = redis.call('HINCRBY', meta, 's', 1)
      redis.call('PEXPIRE', meta, metaTtl)
      local length = redis.call('RPUSH', list, struct.pack('>dd', offset, ms) .. stored)
      lists[list] = nil
      if length > size then
        redis.call('LTRIM', list, -size, -1)
        trimmed = trimmed + length - size
      end
      redis.call('PEXPIRE', list, ttl)
      redis.call('PUBLISH', channel, struct.pack('>BddB', 1, offset, ms, #epoch) .. epoch .. live .. stored)
      if keyed then
        redis.call('HSET', key, 'e', epoch, 'o', text(offset))
        redis.call('PEXPIRE', key, keyMs)
      end
      answer('new', epoch, text(offset))
    end
  end
end
for w = 1, workers do redis.call('SET', KEYS[w], text(last[w]), 'PX', workerMs) end
out[1], out[2], out[3] = newEpochs, failovers, trimmed
return out
`;

/** Drops expired messages. Sets `length`; the offset of the first message is `top - length + 1`. */
const expire = `
local length = redis.call('LLEN', list)
local expired = 0
while length > 0 do
  local _, at = struct.unpack('>dd', redis.call('LINDEX', list, 0))
  if at > ms - ttl then break end
  redis.call('LPOP', list)
  length, expired = length - 1, expired + 1
end
`;

/**
 * Reads a part of a stream; see Range and Page of engine.ts.
 * KEYS: meta, list. ARGV: fresh epoch, history and meta lifetime in ms, epoch (empty: no position) and offset, limit,
 * limit in bytes, page (empty, forward, reverse).
 * Answer: new epochs, epochs that a failover has ended, expired messages, epoch, top, `1` if complete, `1` if there are
 * more; then the messages, oldest first.
 */
const read = `${prelude}
local meta, list = KEYS[1], KEYS[2]
local ttl, page = tonumber(ARGV[2]), ARGV[8]
local since, offset = ARGV[4], tonumber(ARGV[5])
local limit, limitBytes = tonumber(ARGV[6]), tonumber(ARGV[7])
local epoch, top = current(meta, list, ARGV[1])
redis.call('PEXPIRE', meta, ARGV[3])
${expire}
local function reply(complete, more, messages)
  local out = { newEpochs, failovers, expired, epoch, text(top), complete and 1 or 0, more and 1 or 0 }
  for _, message in ipairs(messages) do out[#out + 1] = message end
  return out
end
if since ~= '' and (since ~= epoch or offset > top or offset < 0) then return reply(false, false, {}) end
local first = top - length + 1
-- Collects messages from \`from\` in steps of \`step\` while they fit; \`least\` of them in any case.
local function walk(from, step, count, least)
  local found, bytes, index = {}, 0, from
  while index >= 0 and index < length and #found < count do
    local chunk
    if step > 0 then chunk = redis.call('LRANGE', list, index, math.min(index + 63, length - 1))
    else chunk = redis.call('LRANGE', list, math.max(index - 63, 0), index) end
    for i = 1, #chunk do
      local message = step > 0 and chunk[i] or chunk[#chunk + 1 - i]
      if #found >= count then return found, false end
      bytes = bytes + #message - 25 - string.byte(message, 17)
      if bytes > limitBytes and #found >= least then return found, true end
      found[#found + 1] = message
      index = index + step
    end
  end
  return found, false
end
local function reversed(messages)
  local out = {}
  for i = #messages, 1, -1 do out[#out + 1] = messages[i] end
  return out
end
if page == 'forward' then
  local start = since ~= '' and offset + 1 - first or 0
  if start < 0 then return reply(false, false, {}) end
  local found = walk(start, 1, limit, 1)
  return reply(true, start + #found < length, found)
elseif page == 'reverse' then
  local stop = since ~= '' and math.max(0, offset - first) or length
  local found = walk(stop - 1, -1, limit, 1)
  return reply(true, stop - #found > 0, reversed(found))
elseif since == '' then
  return reply(true, false, reversed(walk(length - 1, -1, limit, 0)))
end
local count = top - offset
if count > length or count > limit then return reply(false, false, {}) end
local found, over = walk(length - count, 1, count, 0)
if over then return reply(false, false, {}) end
return reply(true, false, found)
`;

/**
 * Removes the messages of a stream.
 * KEYS: meta, list. ARGV: fresh epoch, meta lifetime in ms.
 * Answer: new epochs, epochs that a failover has ended, removed messages, epoch, top.
 */
const remove = `${prelude}
local epoch, top = current(KEYS[1], KEYS[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local removed = redis.call('LLEN', KEYS[2])
redis.call('DEL', KEYS[2])
return { newEpochs, failovers, removed, epoch, text(top) }
`;

/** KEYS: metas. Answer: of each the epoch (empty: it has none that is valid) and the top. */
const tops = `${prelude}
local out = {}
for _, meta in ipairs(KEYS) do
  local found = redis.call('HMGET', meta, 'e', 's', 'r')
  local isValid = found[1] and found[2] and found[3] == id
  out[#out + 1] = isValid and found[1] or ''
  out[#out + 1] = isValid and found[2] or '0'
end
return out
`;

/**
 * Renews the lease of a machine, and sends its probe.
 * KEYS: the machines, a sorted set by the time of the last beat; the machine's control channel.
 * ARGV: machine, lease in ms, probe. Answer: the replication id (empty: the server tells none), then the machines with
 * a lease.
 */
const beat = `${prelude}
redis.call('ZADD', KEYS[1], text(ms), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(ms - tonumber(ARGV[2])))
redis.call('PUBLISH', KEYS[2], ARGV[3])
local out = redis.call('ZRANGE', KEYS[1], 0, -1)
table.insert(out, 1, id)
return out
`;

export const scripts = { publish, read, remove, tops, beat } as const;

export type ScriptName = keyof typeof scripts;
