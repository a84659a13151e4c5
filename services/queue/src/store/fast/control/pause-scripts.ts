/**
 * Pause and resume of a queue (ARGV: 1 or 0) and of a group (ARGV: 1 or 0, field of `m`, group). A paused group leaves
 * the ring at its turn; it is in `m` too, so that nobody has to look through all groups for those that are paused.
 */
import { BASE } from '../lua/base.ts';
import { GROUPS } from '../lua/groups.ts';
import { script } from '../scripts.ts';

export const PAUSE = script('pause', BASE, {
  keys: ['m'],
  text: `
even()
if nextArg() == '1' then call('HSET', K_m, 'paused', 1) else call('HDEL', K_m, 'paused') end
return 1
`,
});

export const PAUSE_GROUP = script('pauseGroup', BASE, GROUPS, {
  keys: ['m', 'g'],
  text: `
even()
local isPaused, field, g = nextArg() == '1', nextArg(), group(nextArg())
g.paused = isPaused
if isPaused then
  call('HSET', K_m, field, 1)
else
  call('HDEL', K_m, field)
  if g.where == 'p' then wake(g) end
end
writeGroups()
return 1
`,
});
