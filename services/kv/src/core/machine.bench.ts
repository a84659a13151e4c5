/**
 * What an entry costs in memory, and a put in time, without log or disk: `node --expose-gc
 * services/kv/src/core/machine.bench.ts`. Memory is what this process grew by; keys of 16 bytes, values of 100.
 */
import { bucketSettings } from '@plinth/contracts/kv';
import { openMemoryStore } from '../store/memory-store.ts';
import type { Command } from './command.ts';
import { Machine } from './machine.ts';
import { Recency } from './recency.ts';

const ENTRIES = 200_000;
const PER_RECORD = 100;
const KEY_BYTES = 16;
const VALUE_BYTES = 100;

const store = openMemoryStore();
const machine = new Machine(store, new Recency());
const apply = (commands: readonly Command[]) => machine.applyRecord(store.position + 1, { timeMs: 1, commands });

function heldBytes(): number {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function put(at: number): Command {
  const key = `k${String(at).padStart(KEY_BYTES - 1, '0')}`;
  return { do: 'operation', bucket: 1, operation: { op: 'put', key, value: Buffer.alloc(VALUE_BYTES, 1) } };
}

function fill(name: string, ownBytes: number): void {
  const before = heldBytes();
  const started = performance.now();
  for (let at = 0; at < ENTRIES; at += PER_RECORD) {
    apply(Array.from({ length: PER_RECORD }, (_, offset) => put(at + offset)));
  }
  const microseconds = ((performance.now() - started) * 1_000) / ENTRIES;
  const overhead = (heldBytes() - before) / ENTRIES - ownBytes;
  console.log(`${name.padEnd(16)} ${overhead.toFixed(0)} bytes beside its own, ${microseconds.toFixed(1)} µs a put`);
}

const settings = bucketSettings.parse({ mode: 'cache', bytesMax: Number.MAX_SAFE_INTEGER });
apply([{ do: 'defineBucket', name: 'bench', settings }]);
fill('a live entry', KEY_BYTES + VALUE_BYTES);
fill('a past version', VALUE_BYTES);
