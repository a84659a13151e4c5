/**
 * The task queue, put together. Read it from top to bottom: the store opens, the engine is built on its lanes, the bus
 * carries news between replicas, webhooks and callbacks leave, the doors open. It stops in the reverse order.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@plinth/client';
import type { Kit, Log, Service, ServiceDefinition } from '@plinth/service-kit';
import { DataSchemas } from './api/data-schema.ts';
import { EventStreams } from './api/events.ts';
import { bodyBytesMax, operations } from './api.ts';
import { boardMount } from './board/board.ts';
import { EventNews } from './bus/event-news.ts';
import { ReplicaNews } from './bus/replica-news.ts';
import { ResultWriter } from './bus/result-writer.ts';
import { type QueueConfig, queueSettings } from './config.ts';
import { Queues } from './core/queues.ts';
import { Workers } from './core/workers.ts';
import { idSeries, newId } from './ids.ts';
import { metrics } from './metrics.ts';
import { Pushing } from './pushing.ts';
import { openSchedules } from './scheduling.ts';
import { Stores } from './stores.ts';

export const queueService: ServiceDefinition<QueueConfig> = {
  name: 'queue',
  description: 'Task queue: one API, two lanes, workers in any language',
  readConfig: queueSettings.read,
  build,
};

export async function build(config: QueueConfig, kit: Kit): Promise<Service> {
  const { log, now, random, bus } = kit;
  const replica = newId();
  const stores = await Stores.open({ config, random, onChange: redisNews(log) });
  log.info('jobs are kept in Redis', { durability: stores.durability });

  const news = bus && new ReplicaNews({ bus, replica });
  const queues = new Queues({
    lanes: stores.lanes,
    registry: stores.registry,
    observer: { failed: (what, queue, error) => log.warn(`${what} failed`, { queue, error: String(error) }) },
    neighbours: news,
    now,
    random,
    defaultLane: config.lane,
    limits: config,
  });
  const workers = new Workers({ now, share: (what) => news?.share(what) });
  news?.listen({ woken: (queue) => queues.woken(queue), workers });

  const eventNews = bus && config.events ? new EventNews({ bus, newId: idSeries(), replica }) : undefined;
  if (eventNews !== undefined) queues.onEvent((event) => eventNews.tell(event));
  const results = new ResultWriter({
    kv: bus && config.resultsToKv ? createClient({ nats: bus }).kv : undefined,
    failed: (event, reason) => {
      log.warn('a result was not written to the key-value store', { queue: event.queue, id: event.id, reason });
      eventNews?.tell({ ...event, kind: 'result-failed', reason });
    },
    sleep,
  });
  queues.onDelivery((event) => results.hear(event));

  const pushing = await Pushing.open({ queues, config, log, now, random, onEvent: () => undefined });
  const schemas = new DataSchemas();
  const schedules = openSchedules({
    ...{ queues, stores, schemas, now, random, prefix: config.prefix, urlFault: pushing.rooms.urlFault },
    report: (what, schedule, error) => log.warn(`${what} failed`, { schedule, error: String(error) }),
  });
  const events = new EventStreams({ queues });
  queues.start();
  schedules.start();

  return {
    operations: operations({
      queues,
      workers,
      schemas,
      events,
      now,
      schedules,
      ...pushing.rooms,
      traceUrl: config.traceUrl,
    }),
    mounts: [boardMount({ queues, nativeQueue: (queue) => stores.lanes.standard.nativeQueue(queue) })],
    notReady: () => queues.notReady(),
    // Over HTTP it is the same queue; replicas then find each other's jobs a second later.
    worksWithoutBus: true,
    metrics: () => metrics({ queues, workers, now, eventNews, results, parts: [pushing] }),
    describe: () => ({ backend: 'redis', durability: stores.durability, lane: config.lane }),
    bodyBytesMax,
    drain() {
      events.end();
      // It would ask again and again once nobody waits.
      void pushing.stop();
      queues.release();
    },
    async stop() {
      await schedules.stop();
      await pushing.stop();
      await queues.stop();
      await results.stop();
      eventNews?.flush();
      await news?.stop();
      await stores.stop();
    },
  };
}

/** Once for each time that it goes and comes, however often it is looked for meanwhile. */
function redisNews(log: Log): (state: string) => void {
  let isAway = false;
  return (state) => {
    if (state === 'close' && !isAway) log.warn('Redis is away');
    if (state === 'ready' && isAway) log.info('Redis is back');
    isAway = state === 'ready' ? false : isAway || state === 'close';
  };
}
