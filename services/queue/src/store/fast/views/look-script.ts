/**
 * All that is known of some jobs, each as of one moment. ARGV: ids. For each one a list: record, state, score, lease,
 * history, result, progress, log, children that have not ended; or an empty list where there is no such job.
 */
import { BASE } from '../lua/base.ts';
import { type LuaPart, script } from '../scripts.ts';
import { PLACE } from './place-part.ts';

const LOOK_PART: LuaPart = {
  keys: ['j', 's', 'r', 'o', 'e', 'f'],
  text: `
local answer = {}
for at, id in ipairs(ARGV) do
  local record = call('HGET', K_j, id)
  if record then
    local state, score, lease, history = placeOf(id)
    answer[at] = { record, state, score, lease, call('HGET', K_s, id) or history, call('HGET', K_r, id) or '',
      call('HGET', K_o, id) or '', call('HGET', K_e, id) or '', call('HGET', K_f, id) or '0' }
  else
    answer[at] = {}
  end
end
return answer
`,
};

export const LOOK = script('look', BASE, PLACE, LOOK_PART);
