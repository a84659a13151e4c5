/** Runs one loop for each queue that has a push target, and follows their definitions. */
import { isDeepStrictEqual } from 'node:util';
import type { PushTarget } from '../core/queue-definition.ts';
import type { PushClock, PushEngine, PushLog } from './push-engine.ts';
import { type PushFigures, PushLoop } from './push-loop.ts';
import { activeTarget } from './push-target.ts';
import { WebhookClient, type WebhookClientOptions } from './webhook-client.ts';

/** How soon a changed target is heeded; definitions are cached for a second anyway. */
const LOOK_MS = 1_000;
/** Calls under way when a target changes: the old loop sees them to their end. */
const CHANGE_GRACE_MS = 900_000;

/** What others may want to know of a target. */
export interface PushEvent {
  readonly kind: 'push-disabled';
  readonly queue: string;
  readonly url: string;
  readonly reason: string;
}

export interface PushDispatcherOptions extends WebhookClientOptions {
  readonly engine: PushEngine;
  readonly clock: PushClock;
  readonly log: PushLog;
  /** Told after the definition was changed. */
  onEvent(event: PushEvent): void;
  /** For tests. Default 30 s. */
  readonly leaseMs?: number | undefined;
  readonly lookMs?: number | undefined;
}

export class PushDispatcher {
  readonly #options: PushDispatcherOptions;
  readonly #client: WebhookClient;
  readonly #loops = new Map<string, PushLoop>();
  /** Loops of targets that are no more; waited for when all stops. */
  readonly #ending = new Set<{ loop: PushLoop; ended: Promise<void> }>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  #isStopping = false;

  constructor(options: PushDispatcherOptions) {
    this.#options = options;
    this.#client = new WebhookClient(options);
  }

  start(): void {
    this.#look();
  }

  /** @param graceMs - Calls under way may end for so long; those that have not are sent again by whoever comes next. */
  async stop(graceMs = 10_000): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#timer);
    await this.#looking;
    const loops = [...this.#loops.values(), ...[...this.#ending].map(({ loop }) => loop)];
    await Promise.all(loops.map((loop) => loop.stop(graceMs)));
    this.#client.close();
  }

  /** By queue. */
  figures(): ReadonlyMap<string, PushFigures> {
    return new Map([...this.#loops].map(([queue, loop]) => [queue, loop.figures()]));
  }

  #look(): void {
    this.#looking = this.#follow().catch((error) =>
      this.#options.log.warn('the push targets could not be read', { error: String(error) }),
    );
    void this.#looking.then(() => {
      if (!this.#isStopping) this.#timer = setTimeout(() => this.#look(), this.#options.lookMs ?? LOOK_MS);
    });
  }

  async #follow(): Promise<void> {
    const definitions = await this.#options.engine.list();
    if (this.#isStopping) return;
    const targets = new Map<string, PushTarget>();
    for (const { queue, push } of definitions) {
      const target = activeTarget(push);
      if (target !== undefined) targets.set(queue, target);
    }
    for (const [queue, loop] of this.#loops) {
      if (!isDeepStrictEqual(targets.get(queue), loop.target)) this.#end(queue, loop);
    }
    for (const [queue, target] of targets) if (!this.#loops.has(queue)) this.#begin(queue, target);
  }

  #begin(queue: string, target: PushTarget): void {
    const { engine, clock, log, leaseMs } = this.#options;
    const onGone = (reason: string) => void this.#disable(queue, target, reason);
    const loop = new PushLoop({ queue, target, engine, clock, log, leaseMs, client: this.#client, onGone });
    this.#loops.set(queue, loop);
    loop.start();
  }

  #end(queue: string, loop: PushLoop): void {
    this.#loops.delete(queue);
    const ending = { loop, ended: loop.stop(CHANGE_GRACE_MS) };
    this.#ending.add(ending);
    void ending.ended.then(() => this.#ending.delete(ending));
  }

  /**
   * Writes into the definition that the target is gone, unless it names another by now. Whatever comes of that, the
   * loop is over: should the target be given once more just as it was, the next look begins another.
   */
  async #disable(queue: string, target: PushTarget, reason: string): Promise<void> {
    const { engine, log, onEvent } = this.#options;
    const { url } = target;
    try {
      const push = (await engine.definition(queue))?.push;
      if (push === undefined || push.url !== url || push.disabledReason !== undefined) return;
      await engine.define(queue, { push: { ...push, disabledReason: reason } });
      log.warn('a push target is disabled', { queue, reason });
      onEvent({ kind: 'push-disabled', queue, url, reason });
    } catch (error) {
      log.warn('a push target could not be disabled', { queue, error: String(error) });
    } finally {
      const loop = this.#loops.get(queue);
      if (loop?.target === target) this.#end(queue, loop);
    }
  }
}
