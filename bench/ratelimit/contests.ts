/** All contests: who takes part in which row, and by which way in. Starting one starts what it needs. */
import type { Arena } from './arena.ts';
import type { Contest, Row } from './contest.ts';
import { rlsContest, singleGrpcContest } from './grpc-contests.ts';
import { batchContest, singleHttpContest } from './http-contests.ts';
import { libraryContest, memoryContest } from './library-contests.ts';
import { lineContests, respContest } from './resp-contests.ts';
import { busContests, exact, leased, redisContest } from './store-contests.ts';

/** Where contests are prepared. */
export interface Field {
  arena: Arena;
  /** The main file of the service under test. */
  main: string;
}

/** What prepares the contests of a row. Rows that are no races are missing. */
type Preparation = (field: Field) => Promise<Contest[]>;

const PREPARATIONS: Partial<Record<Row, Preparation>> = {
  A1: libraryContest,
  A2: memoryContest,
  A3: (field) => Promise.all([respContest(field, 'A3', 16), respContest(field, 'A3', 64)]),
  A4: async (field) => [await respContest(field, 'A4', 1)],
  A5: batchContest,
  A6: singleHttpContest,
  A7: async (field) => [await rlsContest(field, { row: 'A7', name: 'rls-1', title: 'RLS, 1 descriptor' })],
  A8: async (field) => [
    await rlsContest(field, { row: 'A8', name: 'rls-4', title: 'RLS, 4 descriptors, all or none' }),
  ],
  A9: singleGrpcContest,
  A10: busContests,
  A11: async (field) => [await redisContest(field, exact)],
  A12: async (field) => [await redisContest(field, leased)],
  lines: lineContests,
};

/** Prepares the contests of some rows, in the order of the rows; every way in is checked. */
export async function prepare(rows: ReadonlySet<Row>, field: Field): Promise<Contest[]> {
  const contests: Contest[] = [];
  for (const [row, preparation] of Object.entries(PREPARATIONS)) {
    if (rows.has(row as Row)) contests.push(...(await preparation(field)));
  }
  return contests.filter(({ contenders }) => contenders.length > 0);
}
