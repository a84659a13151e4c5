/**
 * Completed jobs that are one entry: plain jobs that were completed in one call. They are a piece: one text in `cb`, and
 * one member of `c`: `b` and its number. A text of `cb`: per kind of history that text and how many have it, each with
 * FS behind it; then ids in that order, the oldest first, with slots that mean nothing: `,17:0,18:1,`.
 *
 * - `keepPlain(done, jobs, count)`: jobs as in the text, without the first comma; `done`: `history`, `keptUntil`, `most`.
 *   `writePlain()` writes them, as pieces or each by itself.
 * - `lookIntoPieces()` makes `pieceOf` and `doneIn`, `usePieces()` all of it: a call that does without makes none.
 * - `pieceOf(id)`: the number of the piece that has it, and its text. It goes through all of them. As jobs of which more
 *   than 2,000 are kept are in no piece, and a piece has 8 jobs at least, these are at most 250: 20 µs with 1,000 jobs
 *   kept, and from the ninth call on an index of all their jobs is made (0.5 ms).
 * - `doneIn(text, id)`: its history.
 * - `forgetOldest(set, members, most, mayCut)`: the first members of a place, until so many jobs have been taken; a piece
 *   is taken as a whole, or cut. They are put on the list of what is forgotten. @return Jobs, members.
 */
import type { LuaPart } from '../scripts.ts';

/** Of what more is kept each job is by itself. */
export const PIECES_KEPT_MAX = 2_000;
/** Fewer are no piece. */
export const PIECE_LEAST = 8;
const PIECE_MOST = 256;

/** For scripts that only look too. */
export const PIECES_READ: LuaPart = {
  keys: ['cb'],
  text: `
local pieceOf, readPiece, doneIn
local function lookIntoPieces()
if pieceOf then return end
local findPiece = finder(K_cb)
function pieceOf(id)
  local number = findPiece(id)
  if number then return number, call('HGET', K_cb, number) end
end

-- @return Sections, ids.
function readPiece(text)
  local fields, sections = split(text, FS), {}
  for at = 1, #fields - 1, 2 do
    sections[#sections + 1] = { history = fields[at], count = tonumber(fields[at + 1]) }
  end
  return sections, fields[#fields]
end
function doneIn(text, id)
  local sections, ids = readPiece(text)
  local at = find(ids, ',' .. id .. ':', 1, true)
  local _, before = string.gsub(sections[2] and sub(ids, 1, at - 1) or '', ',', '')
  for _, section in ipairs(sections) do
    if before < section.count then return section.history end
    before = before - section.count
  end
end
end
`,
};

export const PIECES: LuaPart = {
  keys: ['m', 'c', ...PIECES_READ.keys],
  text: `${PIECES_READ.text}
local plainDone, plainCount = {}, 0
local function keepPlain(done, jobs, jobCount)
  plainCount = plainCount + jobCount
  push(plainDone, done, jobs)
  plainDone[#plainDone + 1] = jobCount
end

local function keepEach(done, jobs)
  for id in gmatch(',' .. jobs, ',(%d+)') do
    push(kept[K_c], done.keptUntil, id)
    push(histories, id, done.history)
  end
end

local writePieces, forgetOldest
local function usePieces()
if forgetOldest then return end
lookIntoPieces()
local sections, openSections = {}, {}

local function addTo(done, jobs, jobCount)
  local section = done.section
  if not section or section.isFull then
    local key = done.keptUntil .. done.history
    section = openSections[key]
    if not section then
      section = { history = done.history, keptUntil = done.keptUntil, most = done.most, count = 0, jobs = {} }
      openSections[key] = section
      sections[#sections + 1] = section
    end
    done.section = section
  end
  section.jobs[#section.jobs + 1] = jobs
  section.count = section.count + jobCount
  if section.count >= ${PIECE_MOST / 2} then
    section.isFull = true
    openSections[done.keptUntil .. done.history] = nil
  end
end

local function pieceText(some, ids)
  local fields = {}
  for _, section in ipairs(some) do push(fields, section.history, section.count) end
  fields[#fields + 1] = ids
  return table.concat(fields, FS)
end

local function writePiece(some, jobCount)
  local number = call('HINCRBY', K_m, 'piece', 1)
  local jobs = {}
  for _, section in ipairs(some) do jobs[#jobs + 1] = table.concat(section.jobs) end
  call('HSET', K_cb, number, pieceText(some, ',' .. table.concat(jobs)))
  count('pieced', jobCount)
  push(kept[K_c], some[1].keptUntil, 'b' .. number)
end

function writePieces()
  for at = 1, #plainDone, 3 do addTo(plainDone[at], plainDone[at + 1], plainDone[at + 2]) end
  local open, jobCount = {}, 0
  local function close()
    if jobCount >= ${PIECE_LEAST} then
      writePiece(open, jobCount)
    else
      for _, section in ipairs(open) do keepEach(section, table.concat(section.jobs)) end
    end
    open, jobCount = {}, 0
  end
  for _, section in ipairs(sections) do
    section.isFull = true
    if section.most > ${PIECES_KEPT_MAX} then
      keepEach(section, table.concat(section.jobs))
    else
      if open[1] and (open[1].keptUntil ~= section.keptUntil or jobCount + section.count > ${PIECE_MOST}) then close() end
      open[#open + 1] = section
      jobCount = jobCount + section.count
    end
  end
  close()
  sections, openSections = {}, {}
end

-- Their places are left for whoever calls this.
local function forgetPiece(number, most)
  local text = call('HGET', K_cb, number)
  local some, ids = readPiece(text)
  local rest, left = {}, most
  for _, section in ipairs(some) do
    local away = min(left, section.count)
    left, section.count = left - away, section.count - away
    if section.count > 0 then rest[#rest + 1] = section end
  end
  local from, away = 1, most - left
  count('pieced', -away)
  if not rest[1] then
    for id in gmatch(ids, ',(%d+)') do gonePlain[#gonePlain + 1] = id end
    call('HDEL', K_cb, number)
    return away, true
  end
  for _ = 1, away do
    local comma = find(ids, ',', from + 1, true)
    gonePlain[#gonePlain + 1] = match(ids, '^%d+', from + 1)
    from = comma
  end
  call('HSET', K_cb, number, pieceText(rest, sub(ids, from)))
  return away, false
end

function forgetOldest(set, members, most, mayCut)
  local taken, whole = 0, 0
  for _, member in ipairs(members) do
    if taken >= most then break end
    if string.byte(member) == 98 then
      local away, isWhole = forgetPiece(sub(member, 2), mayCut and most - taken or 2 ^ 31)
      taken = taken + away
      if not isWhole then break end
    else
      gone[#gone + 1] = member
      taken = taken + 1
    end
    whole = whole + 1
  end
  if whole > 0 then call('ZREMRANGEBYRANK', set, 0, whole - 1) end
  return taken, whole
end
end

local function writePlain()
  if plainCount == 0 then return end
  kept[K_c] = kept[K_c] or {}
  if plainCount < ${PIECE_LEAST} then
    for at = 1, #plainDone, 3 do keepEach(plainDone[at], plainDone[at + 1]) end
  else
    usePieces()
    writePieces()
  end
  plainDone, plainCount = {}, 0
end
`,
};
