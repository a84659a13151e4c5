/** Which backend a configuration means, and how it is opened. What is not used is not loaded. */
import type { LimiterClock } from '@plinth/limiter';
import type { Kit } from '@plinth/service-kit';
import type { RatelimitConfig } from './config.ts';
import { newId } from './ids.ts';
import type { Backend } from './store/backend.ts';

/**
 * How long a call waits for keys that change hands: a rollout of three pods on a node with two busy cores took 40 to
 * 185 ms each (tests/k8s/limits). Beyond it a rule's `onError` decides, and the limit is no longer exact.
 */
const MOVE_MS = 1_000;

/** @throws Error when the backend cannot be: `owners` without a bus, `redis` without an address. */
export async function openBackend(config: RatelimitConfig, kit: Kit, clock: LimiterClock): Promise<Backend> {
  if (config.backend === 'redis') return openRedis(config, kit);
  return config.backend === 'owners' ? openOwners(config, kit, clock) : openMemory(config, kit, clock);
}

async function openRedis(
  { redisUrl, redisPassword, redisTimeoutMs }: RatelimitConfig,
  { log, now }: Kit,
): Promise<Backend> {
  if (redisUrl === undefined) throw new Error('RATELIMIT_BACKEND=redis needs REDIS_URL: redis://host:6379');
  const { RedisBackend } = await import('./store/redis-backend.ts');
  return new RedisBackend({
    url: redisUrl,
    password: redisPassword,
    commandTimeoutMs: redisTimeoutMs,
    now,
    onChange: (state) => log.info('Redis', { state }),
  });
}

async function openOwners(config: RatelimitConfig, { bus, log }: Kit, clock: LimiterClock): Promise<Backend> {
  if (bus === undefined) throw new Error('RATELIMIT_BACKEND=owners needs the bus: set NATS_URL');
  const { openOwners: open } = await import('./store/owners-backend.ts');
  const { ownerTimeoutMs, statesMax, restart, natsReplicas } = config;
  return open({
    nats: bus.nats,
    // Another one for each process: the keys of a dead one may still be there.
    id: newId(),
    clock,
    callMs: ownerTimeoutMs,
    moveMs: MOVE_MS,
    statesMax,
    restart,
    replicas: natsReplicas,
    journal: { replicas: natsReplicas },
    log,
  });
}

async function openMemory({ statesMax }: RatelimitConfig, { bus, log }: Kit, clock: LimiterClock): Promise<Backend> {
  const { openMemory: open } = await import('./store/memory-backend.ts');
  return open({ clock, statesMax, nats: bus?.nats, log });
}
