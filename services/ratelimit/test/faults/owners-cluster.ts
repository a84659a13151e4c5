/** Replicas as processes of their own, and what their loads came to together. */
import type { PolicySpec } from '@plinth/limiter';
import { eventually, type ProcessUnderTest, runProcess } from '@plinth/testkit';
import { SLOTS, slotOf, slotTable } from '../../src/store/owners/slots.ts';
import type { OwnersOptions } from '../../src/store/owners-backend.ts';
import type { Order, Tally } from './owners-replica.ts';

const SCRIPT = new URL('./owners-replica.ts', import.meta.url);

export class ReplicaProcess {
  readonly id: string;
  readonly process: ProcessUnderTest;
  readonly #waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  #orders = 0;

  private constructor(id: string, process: ProcessUnderTest) {
    this.id = id;
    this.process = process;
    process.child.on('message', ({ number, result, error }: { number: number; result: unknown; error?: string }) => {
      const waiting = this.#waiting.get(number);
      this.#waiting.delete(number);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(error));
    });
  }

  static async start(url: string, id: string, options: Partial<OwnersOptions> = {}): Promise<ReplicaProcess> {
    const process = runProcess({ script: SCRIPT, args: [url, id, JSON.stringify(options)], ipc: true });
    await process.waitForLine(/^ready/, 20_000);
    return new ReplicaProcess(id, process);
  }

  tell<T = undefined>(order: Order): Promise<T> {
    const number = ++this.#orders;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(number, { resolve: resolve as (result: unknown) => void, reject });
      this.process.child.send({ number, order });
    });
  }

  /** Asks for keys until it is halted. */
  load(keys: string[], spec: PolicySpec, { clients = 16, pauseMs = 4 } = {}): Promise<Tally> {
    return this.tell<Tally>({ kind: 'load', keys, spec, clients, pauseMs });
  }

  async figure(name: string): Promise<number> {
    const text = await this.tell<string>({ kind: 'metrics' });
    return Number(new RegExp(`^plinth_ratelimit_owners_${name} (.*)$`, 'm').exec(text)?.[1]);
  }
}

export async function startCluster(
  url: string,
  ids: string[],
  options: Partial<OwnersOptions> = {},
): Promise<ReplicaProcess[]> {
  const replicas = await Promise.all(ids.map((id) => ReplicaProcess.start(url, id, options)));
  await agreed(replicas);
  return replicas;
}

/** Resolves when each slot is decided by exactly one of these. */
export async function agreed(replicas: readonly ReplicaProcess[]): Promise<void> {
  await eventually(
    async () => {
      const figures = await Promise.all(
        replicas.map(async (one) => [await one.figure('slots'), await one.figure('members')]),
      );
      return (
        figures.every(([, members]) => members === replicas.length) && sum(figures.map(([slots]) => slots!)) === SLOTS
      );
    },
    { timeoutMs: 15_000, intervalMs: 50 },
  );
}

export async function stopCluster(replicas: readonly ReplicaProcess[]): Promise<void> {
  for (const replica of replicas) await replica.process.kill().catch(() => {});
}

/** Resolves when the loads are denied so many times over and nothing more is admitted: all keys are used up. */
export async function usedUp(replicas: readonly ReplicaProcess[], deniedMin: number): Promise<void> {
  const total = async () => {
    const all = await Promise.all(replicas.map((one) => one.tell<Record<string, number>>({ kind: 'progress' })));
    return { admitted: sum(all.map((one) => one.admitted!)), denied: sum(all.map((one) => one.denied!)) };
  };
  let before = await total();
  await eventually(
    async () => {
      const now = await total();
      if (now.admitted === before.admitted) return now.denied - before.denied > deniedMin;
      before = now;
      return false;
    },
    { timeoutMs: 40_000, intervalMs: 200 },
  );
}

/** Units admitted by key, over all loads. */
export function admitted(tallies: readonly Tally[]): Map<string, number> {
  const total = new Map<string, number>();
  for (const tally of tallies) {
    for (const [key, units] of Object.entries(tally.admitted)) total.set(key, (total.get(key) ?? 0) + units);
  }
  return total;
}

/** Keys that `owner` has among these ids. */
export function keysOf(owner: string, ids: readonly string[], keys: readonly string[]): string[] {
  const { owners } = slotTable(ids);
  return keys.filter((key) => owners[slotOf(key)] === owner);
}

export const keysNamed = (name: string, count: number): string[] =>
  Array.from({ length: count }, (_, at) => `${name}:${at}`);

export const sum = (values: readonly number[]): number => values.reduce((total, one) => total + one, 0);
