/**
 * What the heap holds, by kind, from one heap snapshot or as the difference of two:
 *
 *     node docs/heap-summary.mjs FIRST.heapsnapshot [SECOND.heapsnapshot]
 *
 * Sizes are those of the objects themselves, without what they hold on to. Chrome's DevTools (Memory, Load) show who
 * holds whom; this is the quick look that tells whether there is anything to see.
 */
import { readFileSync } from 'node:fs';

const KINDS_MAX = 12;
const files = process.argv.slice(2);
if (files.length < 1 || files.length > 2) throw new Error('node docs/heap-summary.mjs FIRST [SECOND]');
const [first, second] = files.map(kindsIn);
const rows = [...(second ?? first)].map(([kind, { count, bytes }]) => {
  const before = second === undefined ? undefined : first.get(kind);
  return { kind, count: count - (before?.count ?? 0), bytes: bytes - (before?.bytes ?? 0) };
});
for (const { kind, count, bytes } of rows.sort((a, b) => b.bytes - a.bytes).slice(0, KINDS_MAX)) {
  console.log(`${String(count).padStart(9)}  ${(bytes / 1e6).toFixed(2).padStart(8)} MB  ${kind}`);
}

/** Nodes lie in one flat list of numbers; the snapshot says itself which number means what. */
function kindsIn(file) {
  const { snapshot, nodes, strings } = JSON.parse(readFileSync(file, 'utf8'));
  const fields = snapshot.meta.node_fields;
  const types = snapshot.meta.node_types[0];
  const [type, name, size] = ['type', 'name', 'self_size'].map((field) => fields.indexOf(field));
  const kinds = new Map();
  for (let at = 0; at < nodes.length; at += fields.length) {
    const typeName = types[nodes[at + type]];
    // Objects have the name of their class. A string has its text for a name, and code that of its function.
    const kind = typeName === 'object' ? strings[nodes[at + name]].slice(0, 60) : `(${typeName})`;
    const known = kinds.get(kind) ?? { count: 0, bytes: 0 };
    kinds.set(kind, { count: known.count + 1, bytes: known.bytes + nodes[at + size] });
  }
  return kinds;
}
