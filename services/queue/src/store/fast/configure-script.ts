/**
 * Limits. ARGV of `configure`: the nine numbers that `lua/groups.ts` reads, with spaces between. Of `configureGroup`: the
 * group, its four numbers likewise (nothing: the queue's default). Groups that waited for a limit are looked at anew.
 */
import { BASE } from './lua/base.ts';
import { GROUPS } from './lua/groups.ts';
import { script } from './scripts.ts';

const REOPEN = `
local function reopen(name)
  local g = group(name)
  if g.where == 'z' or g.where == 'c' then
    call('ZREM', K_gz, name)
    wake(g)
  end
end
`;

export const CONFIGURE = script('configure', BASE, GROUPS, {
  keys: ['m', 'g', 'gz'],
  text: `${REOPEN}
local text = nextArg()
if call('HGET', K_m, 'limits') == text then return 0 end
call('HSET', K_m, 'limits', text)
for _, name in ipairs(call('HKEYS', K_g)) do reopen(name) end
writeGroups()
return 1
`,
});

export const CONFIGURE_GROUP = script('configureGroup', BASE, GROUPS, {
  keys: ['gl', 'gz'],
  text: `${REOPEN}
local name, text = nextArg(), nextArg()
if text == '' then call('HDEL', K_gl, name) else call('HSET', K_gl, name, text) end
reopen(name)
writeGroups()
return 1
`,
});
