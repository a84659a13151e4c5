/** The operations as they are, on a real Redis and a free port, for tests of what they say over HTTP. */
import { type RunningService, startService } from '@plinth/service-kit';
import { Redis } from 'ioredis';
import { bodyBytesMax, operations } from '../api.ts';
import { openReplica, type Replica } from '../core/queues.fixture.ts';
import { Schedules } from '../core/schedules.ts';
import { Workers } from '../core/workers.ts';
import { readPushTarget } from '../push/push-target.ts';
import { ScheduleStore } from '../store/schedule-store.ts';
import { DataSchemas } from './data-schema.ts';
import { EventStreams } from './events.ts';
import { jobFrom } from './schedules.ts';

export interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of all shapes.
  body: any;
}

export interface RunningApi extends RunningService {
  replica: Replica;
  get(path: string): Promise<Answer>;
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  put(path: string, body?: unknown): Promise<Answer>;
  remove(path: string): Promise<Answer>;
  /** Leases up to `max` jobs. */
  lease(queue: string, max?: number): Promise<{ id: string; token: string; data: unknown }[]>;
}

export async function startApi(redisUrl: string, env: Record<string, string> = {}): Promise<RunningApi> {
  const replica = await openReplica(redisUrl);
  const redis = new Redis(redisUrl);
  const events = new EventStreams({ queues: replica.queues });
  const running = await startService(
    {
      name: 'queue',
      readConfig: () => ({}),
      build: (_, { now }) => ({
        operations: operations({
          queues: replica.queues,
          workers: new Workers({ now, share: () => undefined }),
          schedules: schedulesOn(replica, redis, now),
          readTarget: (body) => readPushTarget(body, { allowPrivateTargets: false }),
          events,
          urlFault: (url) => (url.includes('//10.') ? 'the address is private' : undefined),
          now,
        }),
        notReady: () => undefined,
        worksWithoutBus: true,
        bodyBytesMax,
        drain: () => events.end(),
        async stop() {
          await replica.stop();
          redis.disconnect();
        },
      }),
    },
    { env: { QUEUE_LOG_LEVEL: 'error', ...env }, port: 0 },
  );
  const ask = async (method: string, path: string, body?: unknown, headers = {}): Promise<Answer> => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const answer = await fetch(running.url + path, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(text === undefined ? {} : { body: text }),
    });
    const answered = await answer.text();
    return { status: answer.status, body: answered === '' ? undefined : JSON.parse(answered) };
  };
  return {
    ...running,
    replica,
    get: (path) => ask('GET', path),
    post: (path, body, headers) => ask('POST', path, body, headers),
    put: (path, body) => ask('PUT', path, body),
    remove: (path) => ask('DELETE', path),
    lease: async (queue, max = 1) => (await ask('POST', `/v1/queues/${queue}:lease`, { max })).body.jobs,
  };
}

/** They are put and asked for here; that they run in time is tested where they are. */
function schedulesOn({ queues }: Replica, redis: Redis, now: () => number): Schedules {
  const rooms = { schemas: new DataSchemas(), urlFault: () => undefined, now };
  return new Schedules({
    store: new ScheduleStore({ redis, prefix: 'plinth:q:' }),
    queues,
    makeJob: ({ job }, definition) => jobFrom(rooms, definition, job, '/job'),
    now,
    random: Math.random,
    report: () => undefined,
  });
}
