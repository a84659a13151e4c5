/** Where the jobs of a queue are sent, instead of workers that come for them. */
import { queue as contract, json, type Served, serve } from '@plinth/contracts';
import type { PushInfo } from '@plinth/contracts/queue';
import { Problem } from '@plinth/problem';
import type { PushTarget } from '../core/queue-definition.ts';
import type { Queues } from '../core/queues.ts';
import { openQueueOf, queueOf } from './call.ts';

export interface PushRooms {
  queues: Pick<Queues, 'define' | 'definition'>;
  /** From JSON; a missing secret is made. @throws Problem that names what is wrong with it. */
  readTarget(body: unknown): PushTarget;
}

export function pushOperations({ queues, readTarget }: PushRooms): Served[] {
  async function target(queue: string): Promise<PushTarget> {
    const push = (await queues.definition(queue))?.push;
    if (push === undefined) throw new Problem('push_not_found', `the queue ${queue} has no webhook`);
    return push;
  }
  return [
    serve(contract.putPush, async (call) => {
      const queue = openQueueOf(call);
      const push = readTarget(call.body);
      await queues.define(queue, { push });
      const { secret } = push;
      return json(200, { ...info(push), secret } satisfies PushInfo);
    }),
    serve(contract.getPush, async (call) => json(200, info(await target(queueOf(call))))),
    serve(contract.removePush, async (call) => {
      const queue = openQueueOf(call);
      await target(queue);
      await queues.define(queue, { push: undefined });
      return { status: 204 };
    }),
  ];
}

/** Whoever set the secret knows it; nobody else is told. Nor are the headers, which may hold a key. */
function info({ url, concurrency, ratePerSecond, timeoutMs, headers, disabledReason }: PushTarget): PushInfo {
  return {
    url,
    concurrency,
    ratePerSecond,
    timeoutMs,
    ...(headers === undefined ? {} : { headers: Object.keys(headers) }),
    ...(disabledReason === undefined ? {} : { disabled: disabledReason }),
  };
}
