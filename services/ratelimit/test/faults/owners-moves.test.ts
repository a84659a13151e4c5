/**
 * Replicas that join and are drained by ones and twos while others still do, under load, with more work than CPUs and
 * quotas that the journal keeps: each key is admitted exactly as often as its limit says, neither more nor less.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from '@jest/globals';
import { type SeededRandom, seededRandom, withNats } from '@plinth/testkit';
import { slotOf } from '../../src/store/owners/slots.ts';
import {
  admitted,
  agreed,
  keysNamed,
  ReplicaProcess,
  startCluster,
  stopCluster,
  sum,
  usedUp,
} from './owners-cluster.ts';
import type { Tally } from './owners-replica.ts';

const nats = withNats();
const QUOTA = { algorithm: 'strict' as const, limit: 20, windowMs: 86_400_000 };
const KEYS = keysNamed('moves', 2_000);
const IS_LONG = Boolean(process.env.PLINTH_LONG);
const ROUNDS = IS_LONG ? 4 : 1;
/** Processes that do nothing but keep the CPUs busy, and end by themselves. None beside other tests. */
const BURNERS = IS_LONG ? 3 : 0;
const BURN_MS = 25_000;
const OPTIONS = {
  bucket: 'faults-moves',
  journal: {},
  // It is about exactness here: whoever waits for a CPU is waited for, and is not taken for dead.
  callMs: 10_000,
  moveMs: 10_000,
  heartbeatMs: 1_500,
};

let burners: ChildProcess[] = [];
const replicas: ReplicaProcess[] = [];
afterEach(async () => {
  for (const burner of burners) burner.kill('SIGKILL');
  await stopCluster(replicas);
});

function burn(): void {
  const script = `const untilMs = Date.now() + ${BURN_MS}; while (Date.now() < untilMs);`;
  burners = Array.from({ length: BURNERS }, () => spawn(process.execPath, ['-e', script], { stdio: 'ignore' }));
}

class Crew {
  present: ReplicaProcess[] = [];
  readonly loads: Promise<Tally>[] = [];
  readonly leaving: Promise<void>[] = [];
  #names = 0;

  async begin(count: number): Promise<void> {
    this.present = await startCluster(
      nats.url,
      Array.from({ length: count }, () => this.#name()),
      OPTIONS,
    );
    replicas.push(...this.present);
    for (const one of this.present) this.#load(one);
  }

  async join(): Promise<void> {
    const one = await ReplicaProcess.start(nats.url, this.#name(), OPTIONS);
    replicas.push(one);
    this.present.push(one);
    this.#load(one);
  }

  /** It goes on calling the others for a while, as one does whose clients have not left yet. */
  async leave(one: ReplicaProcess): Promise<void> {
    this.present = this.present.filter((other) => other !== one);
    await one.tell({ kind: 'drain' });
    await sleep(200);
    await one.tell({ kind: 'halt' });
    await this.loads[replicas.indexOf(one)];
    await one.tell({ kind: 'stop' });
  }

  #load(one: ReplicaProcess): void {
    this.loads[replicas.indexOf(one)] = one.load(KEYS, QUOTA, { clients: 8, pauseMs: 3 });
  }

  #name(): string {
    return `m${this.#names++}`;
  }
}

/** One or two join, and meanwhile one or two leave. */
async function round(crew: Crew, random: SeededRandom): Promise<void> {
  const joining = Array.from({ length: 1 + random.int(2) }, () => crew.join());
  await sleep(random.int(1_000));
  const leaving = random.shuffle(crew.present).slice(0, Math.min(1 + random.int(2), crew.present.length - 2));
  const left = leaving.map((one) => crew.leave(one));
  crew.leaving.push(...left);
  await Promise.all(random.int(2) === 0 ? joining : [...joining, ...left]);
  await sleep(random.int(300));
}

/** For a run that failed: the keys and their slots, and what the replicas said of those who came and went. */
function report(wrong: readonly (readonly [string, number])[]): string {
  const keys = wrong.map(([key, units]) => `${key} (slot ${slotOf(key)}): ${units}`).join(', ');
  return [keys, ...replicas.flatMap(({ id, process: { lines } }) => [id, ...lines.map((line) => `  ${line}`)])].join(
    '\n',
  );
}

test('joins and drains at once under load on a busy machine: long quotas are admitted exactly', async () => {
  const random = seededRandom();
  const crew = new Crew();
  await crew.begin(3);
  burn();
  for (let number = 0; number < ROUNDS; number++) await round(crew, random);
  for (const burner of burners) burner.kill('SIGKILL');
  await Promise.all(crew.leaving);
  await agreed(crew.present);
  await usedUp(crew.present, 2 * KEYS.length);
  await Promise.all(crew.present.map((one) => one.tell({ kind: 'halt' })));
  const tallies = await Promise.all(crew.loads);
  const units = admitted(tallies);
  const wrong = [...units].filter(([, one]) => one !== QUOTA.limit);
  const figures = {
    replicas: replicas.length,
    decisions: sum(tallies.map(({ decisions }) => decisions)),
    units: sum([...units.values()]),
    ofUnits: KEYS.length * QUOTA.limit,
    away: sum(tallies.map(({ away }) => away)),
    waitMsMax: Math.round(Math.max(...tallies.map(({ waitMsMax }) => waitMsMax))),
    wrong: wrong.length,
  };
  process.stderr.write(`joins and drains at once: ${JSON.stringify(figures)}\n`);
  if (wrong.length > 0) process.stderr.write(`${report(wrong)}\n`);
  expect(tallies.flatMap(({ errors }) => errors)).toEqual([]);
  expect(figures.away).toBe(0);
  expect(replicas.flatMap(({ process: { lines } }) => lines).join('\n')).not.toMatch(/took this one for dead/);
  expect([units.size, wrong]).toEqual([KEYS.length, []]);
}, 90_000);
