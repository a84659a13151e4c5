import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onFileEnd } from './cleanup.ts';

/** A new empty folder, removed with all it holds after this test file. */
export function tempDir(name = 'test'): string {
  const dir = mkdtempSync(join(tmpdir(), `plinth-${name}-`));
  onFileEnd(() => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }));
  return dir;
}
