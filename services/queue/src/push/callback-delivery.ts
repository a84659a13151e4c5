/** Works on the queue of callbacks: looks for ends, and delivers what is to be told. */
import { endSpan } from '@plinth/telemetry';
import type { LeasedJob } from '../core/job.ts';
import { DEFAULT_GROUPS } from '../core/queue-definition.ts';
import { callSpan, outgoingTrace } from './call-span.ts';
import { CALLBACK_QUEUE, Callbacks, type CallbacksOptions, type Delivery, readCallback } from './callbacks.ts';
import { JobPump } from './job-pump.ts';
import { secretsOf } from './push-target.ts';
import { signedHeaders, webhookId } from './signature.ts';
import { type Verdict, verdictOf, verdictOfFailure } from './verdict.ts';
import { WebhookClient, type WebhookClientOptions, WebhookFailure } from './webhook-client.ts';

/** Deliveries and looks at a time, on each replica. */
const CONCURRENCY = 64;
/** Of them to one receiver, over all replicas. */
const RECEIVER_CONCURRENCY = 10;
const TIMEOUT_MS = 30_000;

export interface CallbackDeliveryOptions extends CallbacksOptions, WebhookClientOptions {
  /** Signs callbacks of queues whose own definition has no push secret; '' leaves those unsigned. */
  readonly secret: string;
  readonly leaseMs?: number | undefined;
}

export class CallbackDelivery {
  readonly #options: CallbackDeliveryOptions;
  readonly #client: WebhookClient;
  readonly #pump: JobPump;
  readonly callbacks: Callbacks;
  #running = 0;

  constructor(options: CallbackDeliveryOptions) {
    const { engine, log, leaseMs } = options;
    this.#options = options;
    this.#client = new WebhookClient(options);
    this.callbacks = new Callbacks(options);
    this.#pump = new JobPump({
      queue: CALLBACK_QUEUE,
      engine,
      log,
      leaseMs,
      worker: 'callbacks',
      room: () => ({ count: CONCURRENCY - this.#running, waitMs: undefined }),
      work: (job, signal) => this.#work(job, signal),
    });
  }

  /** @throws As the engine, when the queue of callbacks cannot be made. */
  async start(): Promise<void> {
    const groups = { ...DEFAULT_GROUPS, concurrency: RECEIVER_CONCURRENCY };
    await this.#options.engine.define(CALLBACK_QUEUE, { lane: 'fast', groups });
    this.callbacks.start();
    this.#pump.start();
  }

  async stop(graceMs = 10_000): Promise<void> {
    await this.callbacks.stop();
    await this.#pump.stop(graceMs);
    this.#client.close();
  }

  async #work(job: LeasedJob, signal: AbortSignal): Promise<void> {
    this.#running += 1;
    try {
      const asked = readCallback(job);
      if (asked.kind === 'watch') {
        await this.callbacks.look(asked);
        this.#pump.ack(job, undefined);
      } else this.#heed(job, await this.#deliver(job, asked, signal), signal);
    } finally {
      this.#running -= 1;
    }
  }

  async #deliver(job: LeasedJob, { queue, id, told, url, body }: Delivery, signal: AbortSignal): Promise<Verdict> {
    const { clock } = this.#options;
    const traced = callSpan(CALLBACK_QUEUE, job);
    const own = { id: webhookId(`callback-${told}`, queue, id), atMs: clock.now(), body };
    const headers = {
      'content-type': 'application/json',
      'user-agent': 'plinth-queue',
      ...signedHeaders(own, await this.#secrets(queue)),
      ...outgoingTrace(traced, job),
    };
    const verdict = await this.#client.post({ url, headers, body, timeoutMs: TIMEOUT_MS, signal }).then(
      (reply) => verdictOf(reply, clock.now()),
      (thrown) => {
        if (thrown instanceof WebhookFailure) return verdictOfFailure(thrown);
        throw thrown;
      },
    );
    endSpan(traced?.span, verdict.kind === 'fail' ? { code: verdict.error.type } : undefined);
    return verdict;
  }

  #heed(job: LeasedJob, verdict: Verdict, signal: AbortSignal): void {
    if (verdict.kind === 'fail' && signal.aborted) this.#pump.release(job);
    else if (verdict.kind === 'fail') this.#pump.fail(job, verdict.error, verdict);
    else if (verdict.kind === 'gone') {
      const error = { type: 'http_410', message: verdict.reason, stack: undefined };
      this.#pump.fail(job, error, { isFinal: true, retryAfterMs: undefined });
    } else this.#pump.ack(job, undefined);
  }

  async #secrets(queue: string): Promise<string[]> {
    const { engine, secret } = this.#options;
    return secretsOf((await engine.definition(queue))?.push?.secret ?? secret);
  }
}
