/** Ending subscriptions without losing what has come. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Subscription } from '@nats-io/transport-node';

/** A server that is there answers in milliseconds. */
const FLUSH_MS_MAX = 2_000;

/**
 * Resolves when what the server had sent by now has been taken: it answers the flush of a draining subscription last.
 * One that is away answers nothing, and sends nothing either, so that is not waited for.
 */
export async function drained(subscriptions: readonly Subscription[]): Promise<void> {
  const open = subscriptions.filter((subscription) => !subscription.isClosed());
  const flushed = Promise.allSettled(open.map((subscription) => subscription.drain()));
  const waiting = new AbortController();
  const tooLate = sleep(FLUSH_MS_MAX, undefined, { signal: waiting.signal }).catch(() => {});
  await Promise.race([flushed, tooLate]);
  waiting.abort();
}
