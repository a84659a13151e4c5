/**
 * Draws a CPU profile as a flame graph: `node --cpu-prof app.ts`, then
 *
 *     node docs/flame-graph.mjs CPU.….cpuprofile --title 'four loggers' > flame.svg
 *
 * Each box is a function; it stands on its caller and is as wide as the time spent in it and in what it called. Order
 * from left to right is by name and means nothing. Boxes narrower than a pixel are left out. A mouse over a box tells
 * its file and its share; so does the list that `--top` prints instead of a picture.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const WIDTH = 1_200;
const ROW = 17;
const HEAD = 34;
const LETTER = 6.3;
const TOP_MAX = 15;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    title: { type: 'string', default: '' },
    top: { type: 'boolean', default: false },
    // Waiting is no work: without this, a thread that sleeps is mostly a wide empty box.
    idle: { type: 'boolean', default: false },
    // Only what this function did, where it stands widest: start-up is out of the picture then.
    below: { type: 'string' },
  },
});
if (positionals.length !== 1)
  throw new Error('node docs/flame-graph.mjs FILE.cpuprofile [--title TEXT] [--below FUNCTION] [--top] [--idle]');
const profile = JSON.parse(readFileSync(positionals[0], 'utf8'));
const tree = mergedTree(profile, values.idle);
const root = values.below === undefined ? tree : widest(tree, values.below);
if (root === undefined) throw new Error(`nothing called "${values.below}" was seen at work`);
console.log(values.top ? topList(root) : picture(root, values.title));

/** One box for all calls of a function by the same callers, with its time in microseconds. */
function mergedTree({ nodes, samples, timeDeltas }, withIdle) {
  const selfUs = new Map();
  samples.forEach((id, at) => {
    selfUs.set(id, (selfUs.get(id) ?? 0) + Math.max(0, timeDeltas[at]));
  });
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const merge = (box, node) => {
    const ownUs = selfUs.get(node.id) ?? 0;
    let us = ownUs;
    for (const { callFrame, ...child } of (node.children ?? []).map((id) => byId.get(id))) {
      if (!withIdle && callFrame.functionName === '(idle)') continue;
      const key = `${callFrame.functionName} ${callFrame.url}:${callFrame.lineNumber}`;
      if (!box.callees.has(key)) box.callees.set(key, emptyBox(callFrame));
      us += merge(box.callees.get(key), child);
    }
    box.selfUs += ownUs;
    box.us += us;
    return us;
  };
  const top = emptyBox(nodes[0].callFrame);
  merge(top, nodes[0]);
  return top;
}

function emptyBox({ functionName, url, lineNumber }) {
  const file = url.replace(`file://${process.cwd()}/`, '').replace(/^.*\/node_modules\//, '');
  // Functions of C++ that compiled code calls directly have neither a name nor a file.
  const name = functionName || (url === '' ? '(native)' : '(anonymous)');
  return { name, file, line: lineNumber + 1, us: 0, selfUs: 0, callees: new Map() };
}

function widest(box, name) {
  if (box.name === name) return box;
  const found = [...box.callees.values()].map((callee) => widest(callee, name)).filter(Boolean);
  return found.sort((a, b) => b.us - a.us)[0];
}

function picture(tree, title) {
  const boxes = [];
  const place = (box, x, depth) => {
    const width = (box.us / tree.us) * WIDTH;
    if (width < 1) return;
    boxes.push({ box, x, width, depth });
    let left = x;
    for (const callee of [...box.callees.values()].sort((a, b) => a.name.localeCompare(b.name))) {
      place(callee, left, depth + 1);
      left += (callee.us / tree.us) * WIDTH;
    }
  };
  place(tree, 0, 0);
  const height = HEAD + ROW * (Math.max(...boxes.map(({ depth }) => depth)) + 1) + 4;
  const head = `${title} · ${(tree.us / 1e6).toFixed(2)} s`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="11">`,
    `<title>${escaped(head)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#fffdf7"/>`,
    `<text x="8" y="21" font-size="15">${escaped(head)}</text>`,
    ...boxes.map((one) => drawn(one, tree.us, height)),
    '</svg>',
  ].join('\n');
}

function drawn({ box, x, width, depth }, totalUs, height) {
  const y = height - ROW * (depth + 1) - 2;
  const letters = Math.floor((width - 4) / LETTER);
  const short = box.name.length <= letters ? box.name : `${box.name.slice(0, Math.max(0, letters - 1))}…`;
  const text = letters < 3 ? '' : `<text x="${(x + 3).toFixed(1)}" y="${y + 12}">${escaped(short)}</text>`;
  const rect = `<rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(0.5, width - 0.5).toFixed(1)}" height="${ROW - 1}" fill="${color(box)}"/>`;
  return `<g><title>${escaped(said(box, box.us, totalUs))}</title>${rect}${text}</g>`;
}

/** Who it is: the collector, Node itself, packages, or files of this repository, each of which has a colour of its own. */
function color({ name, file }) {
  if (name === '(garbage collector)') return '#c8a2d0';
  if (file.startsWith('libs/')) return '#f4a259';
  if (file === '' || file.startsWith('node:')) return '#bcd4de';
  return file.startsWith('bench/') || file.startsWith('services/') ? '#f7d488' : '#a8c686';
}

function topList(tree) {
  const own = new Map();
  const walk = (box) => {
    const key = `${box.name} ${box.file}:${box.line}`;
    const known = own.get(key) ?? { ...box, selfUs: 0 };
    known.selfUs += box.selfUs;
    own.set(key, known);
    for (const callee of box.callees.values()) walk(callee);
  };
  walk(tree);
  const most = [...own.values()].sort((a, b) => b.selfUs - a.selfUs).slice(0, TOP_MAX);
  return most.map((box) => said(box, box.selfUs, tree.us)).join('\n');
}

function said({ name, file, line }, us, totalUs) {
  const share = `${((us / totalUs) * 100).toFixed(1)} %`.padStart(7);
  return `${share}  ${name}${file === '' ? '' : `  ${file}:${line}`}`;
}

function escaped(text) {
  return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
