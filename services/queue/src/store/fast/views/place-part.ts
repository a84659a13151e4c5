/**
 * In which state a job is: the place that its id is in besides its record. For scripts that only look.
 *
 * `placeOf(id)` gives the state, the score there (a time, or nothing), for a leased job its lease, and for a completed one
 * of a piece its history. What is in no place of its own is looked for in pieces, then in batches (`lua/pieces.ts` and
 * `lua/batches.ts` say what that costs).
 */
import { BATCHES } from '../lua/batches.ts';
import { PIECES_READ } from '../lua/pieces.ts';
import type { LuaPart } from '../scripts.ts';

export const PLACE: LuaPart = {
  keys: [...BATCHES.keys, ...PIECES_READ.keys, 'a', 'l', 'z', 'y', 'c', 'd', 'x', 'f'],
  text: `
${BATCHES.text}
${PIECES_READ.text}
useBatches()
lookIntoPieces()
local PLACES = { { K_z, 'scheduled' }, { K_y, 'retrying' }, { K_c, 'completed' }, { K_d, 'dead' }, { K_x, 'cancelled' } }
local function placeOf(id)
  local lease = call('HGET', K_a, id)
  if lease then return 'leased', call('ZSCORE', K_l, id) or '', lease, '' end
  for _, place in ipairs(PLACES) do
    local score = call('ZSCORE', place[1], id)
    if score then return place[2], score, '', '' end
  end
  if tonumber(call('HGET', K_f, id) or 0) > 0 then return 'waiting-children', '', '', '' end
  local number, piece = pieceOf(id)
  if number then return 'completed', call('ZSCORE', K_c, 'b' .. number) or '', '', doneIn(piece, id) end
  local batch, slot = batchOf(id)
  if batch then
    return 'leased', call('ZSCORE', K_l, 'b' .. batch.number) or '', leaseText(batch.number .. ':' .. slot, leaseIn(batch, slot)), ''
  end
  return 'waiting', '', '', ''
end
`,
};
