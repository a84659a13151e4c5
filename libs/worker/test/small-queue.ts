/**
 * A server in this process that speaks the four calls of a worker, and does what a test says: also what no good one
 * would. It is no queue service: it has one order, no retries and no delays. Those are tested against the real one.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SmallJob {
  id: string;
  name: string;
  data: unknown;
  state: 'waiting' | 'leased' | 'completed' | 'failed' | 'cancelled';
  token: string;
  endsMs: number;
  timeoutMs: number;
  enqueuedAtMs: number;
  traceparent?: string;
  leases: number;
  renewals: number;
  releases: number;
  cancel?: string;
  result?: unknown;
  error?: { type: string; message: string };
  retryAfterMs?: number;
  isFinal?: boolean;
  progress?: unknown;
  log: string[];
}

export type Verb = 'next' | 'ack' | 'renew' | 'beat' | 'jobs';
export interface SeenCall {
  verb: Verb;
  queue: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it by hand.
  body: any;
  atMs: number;
  port: number;
  idempotencyKey: string | undefined;
}
/** `reset`: the connection breaks before anything is done. `lose`: it is done, and the answer is lost. */
export type Fault = 'reset' | 'lose' | number | undefined;

type Items = { id: string; token: string }[];

export class SmallQueue {
  readonly calls: SeenCall[] = [];
  readonly #queues = new Map<string, Map<string, SmallJob>>();
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  #order: 'run' | 'quiet' | 'terminate' = 'run';
  #tokens = 0;
  #ids = 0;
  #wake: (() => void)[] = [];
  /** Asked before each call. */
  fault: (call: SeenCall) => Fault = () => undefined;

  static async start(port = 0): Promise<SmallQueue> {
    const small = new SmallQueue();
    await new Promise<void>((resolve) => small.#server.listen(port, '127.0.0.1', resolve));
    return small;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  set order(order: 'run' | 'quiet' | 'terminate') {
    this.#order = order;
  }

  callsOf(verb: Verb): SeenCall[] {
    return this.calls.filter((call) => call.verb === verb);
  }

  jobs(queue = 'work'): SmallJob[] {
    return [...this.#jobsOf(queue).values()];
  }

  count(state: SmallJob['state'], queue = 'work'): number {
    return this.jobs(queue).filter((job) => job.state === state).length;
  }

  add(count = 1, { queue = 'work', ...facts }: Partial<SmallJob> & { queue?: string } = {}): SmallJob[] {
    const added = Array.from({ length: count }, (_, at): SmallJob => {
      const [id, enqueuedAtMs] = [`j${++this.#ids}`, Date.now()];
      const job = { id, name: 'work', data: at, state: 'waiting', token: '0', endsMs: 0, timeoutMs: 0 } as const;
      return { ...job, enqueuedAtMs, leases: 0, renewals: 0, releases: 0, log: [], ...facts };
    });
    for (const job of added) this.#jobsOf(queue).set(job.id, job);
    this.#awaken();
    return added;
  }

  /** As if its lease had ended and another worker had it. */
  steal(job: SmallJob): void {
    job.token = String(++this.#tokens);
    job.endsMs = Infinity;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #jobsOf(queue: string): Map<string, SmallJob> {
    let jobs = this.#queues.get(queue);
    if (jobs === undefined) {
      jobs = new Map();
      this.#queues.set(queue, jobs);
    }
    return jobs;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    request.on('error', () => {});
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return;
    }
    const [, queue = '', verb = ''] = /^\/v1\/(?:queues|workers)\/([^:/]+)[:/](\w+)$/.exec(request.url!) ?? [];
    const body = JSON.parse(Buffer.concat(chunks).toString() || '{}');
    const port = request.socket.remotePort!;
    const idempotencyKey = request.headers['idempotency-key'] as string | undefined;
    const call: SeenCall = {
      idempotencyKey,
      verb: verb as Verb,
      queue: decodeURIComponent(queue),
      body,
      atMs: performance.now(),
      port,
    };
    this.calls.push(call);
    const fault = this.fault(call);
    if (fault === 'reset') return void request.socket.resetAndDestroy();
    if (typeof fault === 'number') return refuse(response, fault);
    if (fault === 'lose') body.waitMs = 0;
    const answer = await this.#do(call, response);
    if (fault === 'lose') return void request.socket.resetAndDestroy();
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }

  async #do({ verb, queue, body }: SeenCall, response: ServerResponse): Promise<unknown> {
    if (verb === 'beat') return { state: this.#order };
    if (verb === 'jobs') return { jobs: (body as unknown[]).map((job) => this.#enqueue(queue, job)) };
    if (verb === 'renew') return { renewed: body.leases.map((item: never) => this.#renew(queue, item)) };
    const settled = this.#settle(queue, body);
    if (verb === 'ack') return { settled };
    return { settled, jobs: await this.#lease(queue, body, response) };
  }

  #enqueue(queue: string, given: unknown): unknown {
    const { name, data } = given as { name?: string; data?: unknown };
    if (name === undefined) return { problem: { code: 'invalid_request', detail: 'a job wants a name' } };
    const [job] = this.add(1, { queue, name, data });
    return { id: job!.id, state: 'waiting', duplicate: false };
  }

  #settle(queue: string, body: { done?: string; acks?: Items; fails?: Items; releases?: Items }): unknown[] {
    const { done = '', acks = [], fails = [], releases = [] } = body;
    const pairs = [...done.matchAll(/(\S+) (\S+)/g)].map(([, id, token]) => ({ id, token }) as Items[number]);
    const end = (items: Items, state: SmallJob['state']) =>
      items.map(({ id, token, ...rest }) => {
        const job = this.#find(queue, id, token);
        if (job === undefined) return { id, problem: { code: 'lease_lost', detail: 'it is another’s' } };
        Object.assign(job, rest, { state: job.cancel === undefined ? state : 'cancelled', token: '0' });
        if (state === 'waiting') job.releases++;
        return { id, state: job.state };
      });
    const short = end(pairs, 'completed').filter((each) => !('state' in each) || each.state !== 'completed');
    const settled = [...short, ...end(acks, 'completed'), ...end(fails, 'failed'), ...end(releases, 'waiting')];
    if (releases.length > 0) this.#awaken();
    return settled;
  }

  #find(queue: string, id: string, token: string): SmallJob | undefined {
    const job = this.#jobsOf(queue).get(id);
    return job?.state === 'leased' && job.token === token && job.endsMs > performance.now() ? job : undefined;
  }

  #renew(queue: string, item: { id: string; token: string; leaseMs: number; progress?: unknown; log?: string[] }) {
    const job = this.#find(queue, item.id, item.token);
    if (job === undefined) return { id: item.id, problem: { code: 'lease_lost', detail: 'it is another’s' } };
    job.renewals++;
    job.endsMs = performance.now() + item.leaseMs;
    if (item.progress !== undefined) job.progress = item.progress;
    job.log.push(...(item.log ?? []));
    return { id: job.id, leaseMs: item.leaseMs, ...(job.cancel === undefined ? {} : { cancel: job.cancel }) };
  }

  async #lease(
    queue: string,
    { max, leaseMs, waitMs }: { max: number; leaseMs: number; waitMs: number },
    response: ServerResponse,
  ): Promise<unknown[]> {
    const deadlineMs = performance.now() + waitMs;
    for (;;) {
      if (response.destroyed) return [];
      const nowMs = performance.now();
      const free = this.jobs(queue).filter(
        (job) => job.state === 'waiting' || (job.state === 'leased' && job.endsMs <= nowMs),
      );
      if (free.length > 0 || nowMs >= deadlineMs) return free.slice(0, max).map((job) => this.#leased(job, leaseMs));
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(50, deadlineMs - nowMs));
        this.#wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  #leased(job: SmallJob, leaseMs: number): unknown {
    Object.assign(job, { state: 'leased', token: String(++this.#tokens), endsMs: performance.now() + leaseMs });
    job.leases++;
    const { id, name, data, token, timeoutMs, enqueuedAtMs, traceparent } = job;
    const counts = { attempt: 1, attempts: 5, stalls: job.leases - 1 };
    return { id, name, data, token, timeoutMs, enqueuedAtMs, traceparent, ...counts, group: '', tags: [], leaseMs };
  }

  #awaken(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

function refuse(response: ServerResponse, status: number): void {
  const code = status === 413 ? 'body_too_large' : status === 404 ? 'queue_not_found' : 'unavailable';
  response.writeHead(status, { 'content-type': 'application/problem+json' });
  response.end(JSON.stringify({ code, detail: `it is ${code}` }));
}
