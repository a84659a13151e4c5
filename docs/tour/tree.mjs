// Files of one name below a folder, as NDJSON that the key-value store imports: the path is the key.
//   node docs/tour/tree.mjs FOLDER NAME
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

const [folder, name] = process.argv.slice(2);
const lines = [];

for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || entry.name !== name) continue;
  const path = join(entry.parentPath ?? entry.path, entry.name);
  const bytes = readFileSync(path);
  const text = bytes.toString('utf8');
  const value = Buffer.from(text).equals(bytes) ? { value: text } : { valueBase64: bytes.toString('base64') };
  const key = relative(folder, path).split(sep).join('/');
  lines.push(`${JSON.stringify({ key, ...value, contentType: 'application/json' })}\n`);
}

process.stdout.write(lines.join(''));
