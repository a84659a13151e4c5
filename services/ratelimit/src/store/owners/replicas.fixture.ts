/** Several replicas in one process, each with a connection of its own, as if they were several processes. */
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { type Charge, type Policy, policyOf } from '@plinth/limiter';
import { eventually } from '@plinth/testkit';
import { type OwnersBackend, type OwnersOptions, openOwners } from '../owners-backend.ts';
import { slotOf, slotTable } from './slots.ts';

export type ReplicaOptions = Partial<Omit<OwnersOptions, 'nats'>>;

export interface Replica {
  readonly id: string;
  readonly backend: OwnersBackend;
  readonly nats: NatsConnection;
  /** Ends without a word, as a crash would: nothing is handed over, nothing is said. */
  crash(): Promise<void>;
  stop(): Promise<void>;
}

export async function startReplica(url: string, options: ReplicaOptions & { id: string }): Promise<Replica> {
  const nats = await connect({
    servers: url,
    name: options.id,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    reconnectJitter: 0,
  });
  const backend = await openOwners({ ...options, nats });
  return {
    id: options.id,
    backend,
    nats,
    async crash() {
      await nats.close();
      await backend.stop();
    },
    async stop() {
      await backend.stop();
      await nats.close();
    },
  };
}

/** Starts replicas `r0`, `r1` … all at once; resolves when all know all. */
export async function startReplicas(url: string, count: number, options: ReplicaOptions = {}): Promise<Replica[]> {
  const starting = Array.from({ length: count }, (_, at) => startReplica(url, { ...options, id: `r${at}` }));
  const replicas = await Promise.all(starting);
  await settled(replicas);
  return replicas;
}

/** Resolves when these replicas know each other, and all slots are decided by one of them. */
export async function settled(replicas: readonly Replica[]): Promise<void> {
  await eventually(
    () => {
      const slots = replicas.reduce((sum, { backend }) => sum + figure(backend, 'slots'), 0);
      return slots === 1_024 && replicas.every(({ backend }) => backend.replicas() === replicas.length);
    },
    { timeoutMs: 10_000 },
  );
}

/** One figure of a replica's metrics. */
export function figure(backend: OwnersBackend, name: string): number {
  return Number(new RegExp(`^plinth_ratelimit_owners_${name} (.*)$`, 'm').exec(backend.metrics())?.[1]);
}

/** Keys that these replicas divide so that `owner` has them. */
export function keysOf(owner: string, replicas: readonly string[], count: number, prefix = 'key'): string[] {
  const { owners } = slotTable(replicas);
  const keys: string[] = [];
  for (let at = 0; keys.length < count; at++) {
    if (owners[slotOf(`${prefix}:${at}`)] === owner) keys.push(`${prefix}:${at}`);
  }
  return keys;
}

export const perMinute = (limit: number): Policy => policyOf({ limit, windowMs: 60_000 });

export const charge = (key: string, policy: Policy, cost = 1): Charge => ({ key, policy, cost });
