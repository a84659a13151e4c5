/**
 * The rate limiter, put together. Read it from top to bottom: rules are read, the backend opens, the engine decides,
 * the doors open. It stops in exactly the reverse order.
 */
import { Ledger, processClock } from '@plinth/limiter';
import { clientAddress } from '@plinth/rate-limit/client-address';
import type { Kit, Service, ServiceDefinition } from '@plinth/service-kit';
import { hashedKeys, plainKeys } from './api/shown-keys.ts';
import { Turns } from './api/turns.ts';
import { operations } from './api.ts';
import { openBackend } from './backends.ts';
import { bodyBytesMax, type RatelimitConfig, ratelimitSettings } from './config.ts';
import { Breaker } from './core/breaker.ts';
import { Engine } from './core/engine.ts';
import { Fallback } from './core/fallback.ts';
import { LeaseDesk } from './core/lease-desk.ts';
import { Observatory } from './core/observatory.ts';
import { Places } from './core/places.ts';
import { RequestPolicies } from './core/request-policies.ts';
import { Reservations } from './core/reservations.ts';
import { LiveRules } from './core/rule-book.ts';
import { Doors } from './doors.ts';
import { newId } from './ids.ts';
import { metrics } from './metrics.ts';
import { RuleSources } from './rule-sources.ts';

export const ratelimitService: ServiceDefinition<RatelimitConfig> = {
  name: 'ratelimit',
  description: 'Distributed rate limiter: exact limits, leases, Envoy RLS and RLQS, Redis protocol',
  readConfig: ratelimitSettings.read,
  build,
};

/** Failures in a row, and the pause until the next try: an outage costs three deadlines, a recovery 200 ms. */
const BREAKER = { failuresMax: 3, pauseMs: 200 };

/** How often borrowed units that were not spent go back: as often as leases end, if their rule says nothing. */
const RETURNS_MS = 100;

export async function build(config: RatelimitConfig, kit: Kit): Promise<Service> {
  const { log, now } = kit;
  const clock = processClock();
  const policies = new RequestPolicies();
  const rules = new LiveRules();
  const sources = await RuleSources.open({ config, kit, rules });
  const backend = await openBackend(config, kit, clock);

  const breaker = new Breaker({ ...BREAKER, now: () => clock.nowUs() / 1_000 });
  const spare = new Ledger({ clock, statesMax: config.statesMax });
  const fallback = new Fallback({ ledger: spare, replicas: () => backend.replicas(), onError: config.onError });
  const desk = new LeaseDesk({ backend, clock, breaker });
  const show = config.plainKeys ? plainKeys : hashedKeys(newId());
  const observatory = new Observatory({ nowMs: now(), show, recorder: { decisionsMax: config.recordedMax } });
  rules.onChange((book) => observatory.rulesChanged({ version: rules.version, domains: book.domains() }, now()));
  const report = (state: 'away' | 'back', reason?: string) => {
    observatory.backendChanged(state, now());
    if (state === 'away')
      log.warn('the backend is away; rules decide by their onError', { backend: backend.name, reason });
    else log.info('the backend is back', { backend: backend.name });
  };
  const engine = new Engine({
    rules,
    backend,
    breaker,
    fallback,
    desk,
    observer: observatory,
    now,
    shadowAll: config.shadow,
    report,
  });

  const turns = new Turns(engine, config.waitersMax);
  const reservations = new Reservations({ engine, newId, now });
  const places = new Places({ engine, newId, now });
  const addressOf = clientAddress({ trust: config.trustedProxies });
  const doors = await Doors.open({
    config,
    engine,
    notReady: () => backend.notReady(),
    replicas: () => backend.replicas(),
    log,
  });
  const housekeeping = setInterval(() => {
    spare.sweep();
    observatory.tick(now());
  }, 1_000);
  const tidying = setInterval(() => void desk.tidy(), RETURNS_MS);

  return {
    operations: operations({
      config,
      engine,
      policies,
      rules,
      sources,
      observatory,
      turns,
      reservations,
      places,
      show,
      addressOf,
      now,
    }),
    notReady: () => undefined,
    // Without it rules decide by their onError; out of the Service, nobody would decide at all.
    worksWithoutBus: true,
    metrics: () =>
      metrics({
        backend,
        isAway: () => breaker.isOpen,
        waiting: () => turns.waiting,
        rulesVersion: () => rules.version,
        ruleFaults: () => sources.faults().length,
        parts: [observatory, desk, ...doors.all],
      }),
    describe: () => ({ backend: backend.name, rls: doors.rlsAddress, resp: doors.respAddress }),
    bodyBytesMax,
    async drain() {
      observatory.events.end();
      doors.drain();
      await desk.giveBack();
      await backend.drain?.();
    },
    async stop() {
      clearInterval(housekeeping);
      clearInterval(tidying);
      await doors.stop();
      await backend.stop();
      await sources.stop();
    },
  };
}
