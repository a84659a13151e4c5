/** An opponent that speaks HTTP: its requests are sent by wrk, its answers are checked before and after. */
import { join } from 'node:path';
import { withCpu } from '../cpu.ts';
import type { Program } from '../program.ts';
import type { Server, Stage } from '../stage.ts';
import { type HttpRequest, runWrk, writeRequests } from '../wrk.ts';
import type { Opponent, Sample, Slot } from './opponent.ts';
import {
  GENERATIONS,
  keyOf,
  numbersOf,
  type Operation,
  PAGE_KEYS,
  requestsOf,
  SAMPLE_KEYS,
  SAMPLE_PAGES,
  VALUE_BYTES,
  valueFor,
} from './workload.ts';

/** One entry as a page shows it; `value` is undefined in a page of keys. */
export interface PageEntry {
  key: string;
  value: string | undefined;
}

/** What differs between servers that speak HTTP. */
export interface Dialect {
  name: string;
  title: string;
  server: Server;
  operations: readonly Operation[];
  /** False: it forgets what it is told, and its answers cannot be checked. */
  isStore: boolean;
  promise(operation: Operation): string;
  /** The request for a key's or page's number. */
  request(operation: Operation, number: number): HttpRequest;
  /** Stores the `filled` value of every key. */
  storeAll(): Promise<void>;
  /** The value in an answer to `get`. */
  valueIn(answer: string): string | undefined;
  /** The entries in an answer to `page` or `page-keys`. */
  entriesIn(answer: string): PageEntry[];
}

/** The least an answer may weigh: one that is lighter cannot hold what was asked for. */
const ANSWER_BYTES_MIN: Record<Operation, number> = {
  put: 0,
  get: VALUE_BYTES,
  page: PAGE_KEYS * (VALUE_BYTES + keyOf(0).length),
  'page-keys': PAGE_KEYS * keyOf(0).length,
};

/** Where and with what the load is made. */
export interface HttpRace {
  wrk: Program;
  stage: Stage;
}

/** Makes an opponent of a dialect. */
export function httpOpponent(dialect: Dialect, { wrk, stage }: HttpRace): Opponent {
  const requestFiles = new Map<Operation, Promise<string>>();
  const requestFile = (operation: Operation): Promise<string> => {
    const known = requestFiles.get(operation) ?? writeRequestFile(dialect, stage, operation);
    requestFiles.set(operation, known);
    return known;
  };
  const bear = async (slot: Slot): Promise<Sample> => {
    const load = { ...slot, url: dialect.server.url, requestsFile: await requestFile(slot.operation) };
    const { answerBytesMean, ...sample } = await withCpu(dialect.server.pid, () => runWrk(wrk, load));
    if (answerBytesMean < ANSWER_BYTES_MIN[slot.operation]) {
      throw new Error(`${dialect.name}: answers to ${slot.operation} have only ${answerBytesMean} bytes`);
    }
    return sample;
  };
  const fill = async (): Promise<void> => {
    await dialect.storeAll();
    if (!dialect.isStore) return;
    await verifyKeys(dialect, ['filled']);
    await verifyPages(dialect);
  };
  const verify = async (): Promise<void> => (dialect.isStore ? verifyKeys(dialect, GENERATIONS) : undefined);
  return { ...dialect, fill, bear, verify };
}

/** Sends one request as wrk would. @returns The body. @throws Error unless the answer is 2xx. */
export async function send(url: string, { method, path, body }: HttpRequest): Promise<string> {
  const response = await fetch(url + path, { method, body });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text.slice(0, 300)}`);
  return text;
}

async function writeRequestFile(dialect: Dialect, stage: Stage, operation: Operation): Promise<string> {
  const file = join(stage.dir, `${dialect.name}-${operation}.requests`);
  await writeRequests(file, dialect.server.url, requestsOf(operation, dialect.request));
  return file;
}

async function verifyKeys(dialect: Dialect, generations: typeof GENERATIONS | ['filled']): Promise<void> {
  for (const number of SAMPLE_KEYS) {
    const value = dialect.valueIn(await send(dialect.server.url, dialect.request('get', number)));
    if (generations.some((generation) => value === valueFor(number, generation))) continue;
    throw new Error(`${dialect.name}: ${keyOf(number)} holds ${JSON.stringify(value)}, which nobody put there`);
  }
}

async function verifyPages(dialect: Dialect): Promise<void> {
  for (const operation of ['page', 'page-keys'] as const) {
    for (const page of SAMPLE_PAGES) {
      const entries = dialect.entriesIn(await send(dialect.server.url, dialect.request(operation, page)));
      const wanted = numbersOf(page).map((number) => ({
        key: keyOf(number),
        value: operation === 'page' ? valueFor(number, 'filled') : undefined,
      }));
      if (JSON.stringify(entries) === JSON.stringify(wanted)) continue;
      throw new Error(`${dialect.name}: ${operation} ${page} is not the one that was stored`);
    }
  }
}
