/**
 * Which jobs a filter means. ARGV: name, group, tag, enqueued at or after, enqueued before: each `=` and the value, escaped
 * as in the record, or nothing. `readFilter()` reads them; `isMeant(record)` says whether a job is one of them.
 */
import type { LuaPart } from '../scripts.ts';

export const FILTER: LuaPart = {
  keys: [],
  text: `
local function nextFilter()
  local text = nextArg()
  return text ~= '' and sub(text, 2) or nil
end
local name, inGroup, tag, from, till, isFiltered
local function readFilter()
  name, inGroup, tag, from, till = nextFilter(), nextFilter(), nextFilter(), nextFilter(), nextFilter()
  isFiltered = name or inGroup or tag or from or till
end

local function hasTag(tags)
  return find(',' .. tags .. ',', ',' .. tag .. ',', 1, true) ~= nil
end
local function isMeant(record)
  if not isFiltered then return true end
  local machine = machineOf(record)
  if inGroup and machine.group ~= inGroup then return false end
  local enqueuedAt = (from or till) and tonumber(machine.enqueuedAt, 36)
  if from and enqueuedAt < tonumber(from) or till and enqueuedAt >= tonumber(till) then return false end
  if not (name or tag) then return true end
  local people = find(record, RS, 1, true) + 1
  local fields = split(sub(record, people, find(record, RS, people, true) - 1), US)
  return not (name and fields[1] ~= name) and not (tag and not hasTag(fields[2] or ''))
end
`,
};
