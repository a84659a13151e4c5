/** The engine of our service in this process, with Redis as its backend: put together as `services/ratelimit` does it. */
import { Ledger, processClock } from '@plinth/limiter';
import { openBackend } from '../../services/ratelimit/src/backends.ts';
import { Breaker } from '../../services/ratelimit/src/core/breaker.ts';
import { Engine } from '../../services/ratelimit/src/core/engine.ts';
import { Fallback } from '../../services/ratelimit/src/core/fallback.ts';
import { LeaseDesk } from '../../services/ratelimit/src/core/lease-desk.ts';
import { Observatory } from '../../services/ratelimit/src/core/observatory.ts';
import { LiveRules } from '../../services/ratelimit/src/core/rule-book.ts';
import { parseRules } from '../../services/ratelimit/src/rules/parse-rules.ts';
import type { RedisLimiter } from './redis-limiter.ts';
import { type LimitName, OWN_DOMAIN, rulesFile } from './workload.ts';

/** A busy machine must not make it decide without Redis: that would be cheap, and no longer the work to be measured. */
const REDIS_TIMEOUT_MS = 5_000;
const LEASE_MS = 100;
const READY_POLL_MS = 5;

type OpenArguments = Parameters<typeof openBackend>;

/** @param extension - Of the rules: the algorithm, and whether units are lent. */
export async function redisEngine(url: string, limit: LimitName, extension: string): Promise<RedisLimiter> {
  const clock = processClock();
  const rules = new LiveRules();
  rules.replace('files', parseRules(rulesFile(OWN_DOMAIN, extension), 'bench.yaml'));
  const config = { backend: 'redis', redisUrl: url, redisTimeoutMs: REDIS_TIMEOUT_MS } as OpenArguments[0];
  const kit = {
    now: Date.now,
    log: { info: () => {}, warn: () => {}, error: () => {} },
  } as unknown as OpenArguments[1];
  const backend = await openBackend(config, kit, clock);
  while (backend.notReady() !== undefined) await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  const breaker = new Breaker({ failuresMax: 3, pauseMs: 200, now: () => clock.nowUs() / 1_000 });
  const desk = new LeaseDesk({ backend, clock, breaker });
  const engine = new Engine({
    rules,
    backend,
    breaker,
    desk,
    fallback: new Fallback({ ledger: new Ledger({ clock }), replicas: () => 1, onError: 'local' }),
    observer: new Observatory({ nowMs: Date.now(), show: (value) => value }),
    now: Date.now,
    shadowAll: false,
    report: () => {},
  });
  const tidying = setInterval(() => void desk.tidy(), LEASE_MS);
  return {
    async take(key) {
      const subjects = [{ entries: [{ key: limit, value: key }] }];
      const asked = engine.check([{ domain: OWN_DOMAIN, subjects, cost: 1, mode: 'take' }]);
      const [verdict] = asked instanceof Promise ? await asked : asked;
      if (verdict!.degraded !== undefined) throw new Error(`decided without Redis: ${verdict!.degraded}`);
      return verdict!.isAllowed;
    },
    async close() {
      clearInterval(tidying);
      await backend.stop();
    },
  };
}
