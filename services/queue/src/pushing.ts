/** Webhooks and callbacks: what leaves the service by itself. */
import type { Kit } from '@plinth/service-kit';
import type { Rooms } from './api.ts';
import type { QueueConfig } from './config.ts';
import type { Queues } from './core/queues.ts';
import { counter, gauge, type Sample } from './metric-lines.ts';
import { CallbackDelivery } from './push/callback-delivery.ts';
import { PushDispatcher, type PushEvent } from './push/push-dispatcher.ts';
import type { PushFigures } from './push/push-loop.ts';
import { readPushTarget, urlFault } from './push/push-target.ts';

export interface PushingOptions extends Pick<Kit, 'log' | 'now' | 'random'> {
  queues: Queues;
  config: Pick<QueueConfig, 'allowPrivateTargets' | 'callbackSecret'>;
  onEvent(event: PushEvent): void;
}

export class Pushing {
  /** What the doors need of it. */
  readonly rooms: Pick<Rooms, 'readTarget' | 'urlFault'>;
  readonly #dispatcher: PushDispatcher;
  readonly #delivery: CallbackDelivery;
  #stopping: Promise<unknown> | undefined;

  private constructor({ queues, config, log, now, random, onEvent }: PushingOptions) {
    const { allowPrivateTargets, callbackSecret: secret } = config;
    const common = { engine: queues, clock: { now, random }, log, allowPrivateTargets };
    this.#dispatcher = new PushDispatcher({ ...common, onEvent });
    this.#delivery = new CallbackDelivery({ ...common, secret });
    this.rooms = {
      readTarget: (body) => readPushTarget(body, { allowPrivateTargets }),
      urlFault: (url) => urlFault(url, allowPrivateTargets),
    };
  }

  /** Begins to send. */
  static async open(options: PushingOptions): Promise<Pushing> {
    const pushing = new Pushing(options);
    await pushing.#delivery.start();
    pushing.#dispatcher.start();
    return pushing;
  }

  /** Of this replica, by queue. */
  metrics(): string {
    const figures = [...this.#dispatcher.figures()];
    const of = (value: (one: PushFigures) => number): Sample[] =>
      figures.map(([queue, one]) => [`queue="${queue}"`, value(one)]);
    const calls = figures.flatMap(([queue, { totals }]) =>
      Object.entries(totals).map(([outcome, count]): Sample => [`queue="${queue}",outcome="${outcome}"`, count]),
    );
    return [
      gauge(
        'push_running',
        'Calls to webhooks that are under way.',
        of(({ running }) => running),
      ),
      gauge(
        'push_window',
        'Calls that a webhook may be given at a time at present.',
        of(({ window }) => window),
      ),
      gauge(
        'push_paused_seconds',
        'A webhook is left alone for so long.',
        of(({ pausedMs }) => pausedMs / 1_000),
      ),
      counter('push_calls_total', 'Calls to webhooks by what came of them.', calls),
    ].join('');
  }

  /** Takes no more; calls under way may end; what has not ended is sent again by whoever comes next. */
  async stop(): Promise<void> {
    this.#stopping ??= Promise.all([this.#dispatcher.stop(), this.#delivery.stop()]);
    await this.#stopping;
  }
}
