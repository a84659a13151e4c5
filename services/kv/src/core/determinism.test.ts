import { describe, expect, it } from '@jest/globals';
import { type SeededRandom, seededRandom, tempDir } from '@plinth/testkit';
import { openLmdbStore } from '../store/lmdb-store.ts';
import { openMemoryStore } from '../store/memory-store.ts';
import type { Store } from '../store/store.ts';
import { type CommandRecord, decodeCommands, encodeCommands, type Outcome } from './command.ts';
import { assertSound, rowsOf } from './machine.fixture.ts';
import { Machine } from './machine.ts';
import { RandomCommands } from './random-commands.fixture.ts';

const RECORDS = 1_500;

/** As a caller sees it: values as bytes, problems by code. */
const seen = (outcomes: readonly Outcome[]): string => JSON.stringify(outcomes, (_, value) => value ?? null);

function applyAll(store: Store, records: readonly CommandRecord[]): { answers: string[]; machine: Machine } {
  const machine = new Machine(store);
  const answers = records.map((record, at) => {
    const answer = seen(machine.applyRecord(at + 1, record));
    if (at % 50 === 0) assertSound(machine);
    return answer;
  });
  assertSound(machine);
  return { answers, machine };
}

const randomRecords = (random: SeededRandom, count = RECORDS, options = {}): CommandRecord[] => {
  const commands = new RandomCommands(random, options);
  return Array.from({ length: count }, () => commands.record());
};

const throughLog = (record: CommandRecord): CommandRecord => decodeCommands(Buffer.from(encodeCommands(record)));

/** Stops at random moments with or without a checkpoint, opens again and replays the rest from its bytes. */
async function applyWithCrashes(records: readonly CommandRecord[], random: SeededRandom) {
  const folder = tempDir('determinism');
  const answers: string[] = [];
  let store = await openLmdbStore(folder);
  let machine = new Machine(store);
  for (let at = 0; at < records.length; at++) {
    answers[at] = seen(machine.applyRecord(at + 1, throughLog(records[at]!)));
    if (random.int(40) === 0) await store.checkpoint();
    if (random.int(100) === 0) {
      await store.close();
      store = await openLmdbStore(folder);
      machine = new Machine(store);
      at = store.position - 1;
    }
  }
  assertSound(machine);
  const rows = rowsOf(store);
  await store.close();
  return { answers, rows };
}

describe('the same commands in the same order', () => {
  it('give the same state and the same answers in memory and on disk, through checkpoints, crashes and replays', async () => {
    const random = seededRandom();
    const records = randomRecords(random);
    const store = openMemoryStore();
    const { answers } = applyAll(store, records);
    const onDisk = await applyWithCrashes(records, random);
    expect(onDisk.answers).toEqual(answers);
    expect(onDisk.rows).toEqual(rowsOf(store));
  });

  it('give the same state however those of one moment are grouped into records', () => {
    const random = seededRandom();
    // What has ended when it is written is swept by the next record, so there the grouping does show.
    const records = randomRecords(random, RECORDS, { hasEnds: false });
    const whole = openMemoryStore();
    const split = openMemoryStore();
    applyAll(whole, records);
    applyAll(
      split,
      records.flatMap(({ timeMs, commands }) => commands.map((command) => ({ timeMs, commands: [command] }))),
    );
    expect(rowsOf(split)).toEqual(rowsOf(whole));
  });

  it('give the same state when the machine is loaded anew before each record', () => {
    const random = seededRandom();
    const records = randomRecords(random, 400);
    const kept = openMemoryStore();
    const loaded = openMemoryStore();
    const { answers } = applyAll(kept, records);
    const again = records.map((record, at) => seen(new Machine(loaded).applyRecord(at + 1, record)));
    expect(again).toEqual(answers);
    expect(rowsOf(loaded)).toEqual(rowsOf(kept));
  });

  it('leave nothing of a bucket that is dropped and swept', () => {
    const random = seededRandom();
    const store = openMemoryStore();
    const { machine } = applyAll(store, randomRecords(random, 400));
    let at = 400;
    const apply = (command: CommandRecord['commands'][number]) =>
      machine.applyRecord(++at, { timeMs: machine.timeMs, commands: [command] });
    for (const { id } of [...machine.buckets.values()]) {
      apply({ do: 'dropBucket', bucket: id });
      for (let round = 0; round < 20; round++) apply({ do: 'sweepBucket', bucket: id, limit: 1_000 });
    }
    machine.applyRecord(++at, { timeMs: machine.timeMs + 25 * 3_600_000, commands: [] });
    expect(rowsOf(store).map((row) => row.split(' ')[0])).toEqual(['meta']);
  });
});

describe('a refused command', () => {
  it('of whatever kind leaves the state as it was', () => {
    const random = seededRandom();
    const commands = new RandomCommands(random);
    const store = openMemoryStore();
    const { machine } = applyAll(store, randomRecords(random, 200));
    let refused = 0;
    for (let at = 201; at < 900; at++) {
      const { timeMs } = machine;
      const apply = (command?: CommandRecord['commands'][number]) =>
        machine.applyRecord(at, { timeMs, commands: command === undefined ? [] : [command] });
      apply();
      const before = rowsOf(store);
      const [outcome] = apply(commands.command());
      if (!(outcome instanceof Error)) continue;
      refused += 1;
      expect(rowsOf(store)).toEqual(before);
    }
    expect(refused).toBeGreaterThan(50);
  });
});
