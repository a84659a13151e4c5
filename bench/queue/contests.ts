/** All contests: who takes part in which row, and by which way in. Starting one starts what it needs. */
import type { Arena } from './arena.ts';
import type { Contest, Row } from './contest.ts';
import { asynq, bare, bullmq, enter } from './opponents.ts';
import { type Entry, enterPlinth, enterWrk } from './plinth.ts';
import { BATCH, BULK, CONCURRENCY, CONNECTIONS, IDLE_JOBS_PER_SECOND, WAITING_JOBS } from './workload.ts';

/** Where contests are prepared. */
export interface Field {
  arena: Arena;
  /** The main file of the service under test. */
  main: string;
}

const C = `c=${CONCURRENCY}`;
/** Few enough that requests of a hundred do not wait for each other. */
const ARRAY_CONNECTIONS = 8;

const ours = ({ arena, main }: Field, entry: Entry) => enterPlinth(arena, main, entry);

type Preparation = (field: Field) => Promise<Omit<Contest, 'row'>>;

const PREPARATIONS: Record<Exclude<Row, 'B7'>, Preparation> = {
  B1: async (field) => ({
    name: 'process',
    title: 'process no-ops',
    measure: 'speed',
    contenders: [
      ...(await ours(field, { phase: 'process', door: 'http' })),
      ...(await ours(field, { phase: 'process', door: 'nats' })),
      ...(await enter(field.arena, bullmq, { phase: 'process', how: `worker ${C}` })),
      ...(await enter(field.arena, asynq, { phase: 'process', how: `server ${C}` })),
    ],
  }),
  B2: async (field) => ({
    name: 'singles',
    title: 'enqueue one by one',
    measure: 'speed',
    contenders: [
      ...(await enterWrk(field.arena, field.main, { connections: CONNECTIONS, jobsPerRequest: 1 })),
      ...(await enter(field.arena, bullmq, { phase: 'enqueue', how: `add ${C}` })),
      ...(await enter(field.arena, asynq, { phase: 'enqueue', how: `Enqueue ${C}` })),
    ],
  }),
  B3: async (field) => ({
    name: 'arrays',
    title: `enqueue in arrays, ours of ${BATCH}`,
    measure: 'speed',
    contenders: [
      ...(await enterWrk(field.arena, field.main, { connections: ARRAY_CONNECTIONS, jobsPerRequest: BATCH })),
      ...(await enter(field.arena, bullmq, { phase: 'bulk', how: `addBulk ${BULK}` })),
    ],
  }),
  B4: async (field) => ({
    name: 'standard',
    title: 'standard lane, enqueue and process',
    measure: 'speed',
    contenders: [
      ...(await ours(field, { phase: 'both', door: 'http', lane: 'standard' })),
      ...(await enter(field.arena, bullmq, { phase: 'both', how: `add ${C} and worker ${C}` })),
    ],
  }),
  B5: async (field) => ({
    name: 'latency',
    title: `from enqueue to start, ${IDLE_JOBS_PER_SECOND}/s`,
    measure: 'latency',
    contenders: [
      ...(await ours(field, { phase: 'latency', door: 'http' })),
      ...(await ours(field, { phase: 'latency', door: 'nats' })),
      ...(await enter(field.arena, bullmq, { phase: 'latency', how: 'add and worker' })),
      ...(await enter(field.arena, asynq, { phase: 'latency', how: 'Enqueue and server' })),
    ],
  }),
  B6: async (field) => ({
    name: 'memory',
    title: `one of ${WAITING_JOBS} waiting jobs`,
    measure: 'memory',
    contenders: [
      ...(await ours(field, { phase: 'memory', door: 'http' })),
      ...(await enter(field.arena, bullmq, { phase: 'memory', how: `addBulk ${BULK}` })),
      ...(await enter(field.arena, asynq, { phase: 'memory', how: `Enqueue ${C}` })),
    ],
  }),
  B8: async (field) => ({
    name: 'bare',
    title: `process no-ops, to the same Redis in pipelines of ${BATCH}`,
    measure: 'speed',
    contenders: [
      ...(await ours(field, { phase: 'process', door: 'http' })),
      ...(await enter(field.arena, bare, { phase: 'process', how: `pipelines of ${BATCH}` })),
    ],
  }),
};

/** Prepares the contests of some rows, in the order of the rows. Recovery is no race. */
export async function prepare(rows: ReadonlySet<Row>, field: Field): Promise<Contest[]> {
  const contests: Contest[] = [];
  for (const [row, preparation] of Object.entries(PREPARATIONS)) {
    if (rows.has(row as Row)) contests.push({ row: row as Row, ...(await preparation(field)) });
  }
  return contests.filter(({ contenders }) => contenders.length > 0);
}
