/**
 * Settles, leases, or both in one round trip. ARGV of `lease` and `turn`: how many, leaseMs, worker; then settlements as
 * `lua/settling.ts` says. Answer of `lease`: 1 when paused, milliseconds until something is due (-1: nothing), and a text:
 * per job id, token, deadline, record, history, with FS between all of them. Of `settle`: as `lua/settling.ts` says, and
 * whether jobs wait now (1 or 0). Of `turn`: these two.
 */
import { ATTEMPTS } from './lua/attempts.ts';
import { BASE } from './lua/base.ts';
import { ENDING } from './lua/ending.ts';
import { GROUPS } from './lua/groups.ts';
import { LEASING } from './lua/leasing.ts';
import { SETTLING } from './lua/settling.ts';
import { script } from './scripts.ts';

const WRITE = `
writeEnded()
writeGroups()
writeCounters()
return answer
`;

export const LEASE = script('lease', BASE, GROUPS, ENDING, LEASING, {
  keys: [],
  text: `
even()
local answer = lease(nextNumber(), nextNumber(), nextArg())
${WRITE}`,
});

export const SETTLE = script('settle', BASE, GROUPS, ENDING, ATTEMPTS, SETTLING, {
  keys: [],
  text: `
even()
local answer = settle()
writeEnded()
answer[4] = countNow('waiting') > 0 and 1 or 0
${WRITE}`,
});

export const TURN = script('turn', BASE, GROUPS, ENDING, ATTEMPTS, SETTLING, LEASING, {
  keys: [],
  text: `
even()
local want, leaseMs, worker = nextNumber(), nextNumber(), nextArg()
local settled = settle()
-- What has ended is forgotten before its place is given away.
writeEnded()
local answer = { settled, lease(want, leaseMs, worker) }
settled[4] = countNow('waiting') > 0 and 1 or 0
${WRITE}`,
});
