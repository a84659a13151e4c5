/**
 * A rate-limit service as small as can be: it answers over HTTP as the contract says, by a `Ledger`, and does on demand
 * what no good service would. The real one is met in `tests/ratelimit/`.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CheckAnswer, CheckRequest, LeaseAnswer, LimitAnswer, PolicySpec } from '@plinth/contracts/ratelimit';
import { type Charge, Ledger, type LimiterClock, type Mode, policyOf, processClock, stateKey } from '@plinth/limiter';
import { PROBLEM_MEDIA_TYPE, Problem, toProblem } from '@plinth/problem';

export interface Seen {
  path: string;
  body: unknown;
  headers: IncomingMessage['headers'];
}

export type Mood = 'well' | 'hangs' | 'resets' | 'overloaded' | 'limits us' | 'forbids';

export interface LimitsServerOptions {
  /** Rules by their names. */
  rules: Record<string, PolicySpec>;
  /** Of what is there, what is lent at once; 0: nothing is. */
  leaseShare?: number;
  clock?: LimiterClock;
}

export class LimitsServer {
  mood: Mood = 'well';
  readonly seen: Seen[] = [];
  readonly rules: Record<string, PolicySpec>;
  readonly ledger: Ledger;
  readonly #leaseShare: number;
  readonly #server: Server;

  constructor({ rules, leaseShare = 0.1, clock = processClock() }: LimitsServerOptions) {
    this.rules = rules;
    this.ledger = new Ledger({ clock });
    this.#leaseShare = leaseShare;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(options: LimitsServerOptions, port = 0): Promise<LimitsServer> {
    const started = new LimitsServer(options);
    await new Promise<void>((resolve) => started.#server.listen(port, '127.0.0.1', resolve));
    return started;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Checks that were asked, in whatever requests. */
  get checks(): CheckRequest[] {
    return this.asked('check').flatMap((body) => body as CheckRequest | CheckRequest[]);
  }

  /** The bodies of the requests of one operation. */
  asked(name: string): unknown[] {
    return this.seen.filter(({ path }) => path === `/v1/limits/${name}`).map(({ body }) => body);
  }

  /** As a crash: connections break. */
  async kill(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    request.on('error', () => {});
    for await (const chunk of request) chunks.push(chunk);
    const body = JSON.parse(Buffer.concat(chunks).toString() || 'null') as never;
    this.seen.push({ path: request.url!, body, headers: request.headers });
    if (this.mood === 'hangs') return;
    if (this.mood === 'resets') request.socket.resetAndDestroy();
    else this.#answer(request.url!.slice('/v1/limits/'.length), body, response);
  }

  #answer(name: string, body: never, response: ServerResponse): void {
    try {
      if (this.mood === 'overloaded') throw new Problem('overloaded', 'too much to do');
      if (this.mood === 'limits us') throw new Problem('rate_limited', 'you ask too often');
      if (this.mood === 'forbids') throw new Problem('forbidden', 'the key may not do this');
      const answer = JSON.stringify(this.answerTo(name, body));
      response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
    } catch (error) {
      const problem = toProblem(error);
      const headers = { ...problem.toHeaders(), 'content-type': PROBLEM_MEDIA_TYPE };
      response.writeHead(problem.status, headers).end(JSON.stringify(problem.toBody()));
    }
  }

  /** What an operation answers. @throws Problem */
  answerTo(name: string, body: never): unknown {
    const check = body as CheckRequest;
    switch (name) {
      case 'check':
        return this.#decideAll(body, 'take');
      case 'peek':
        return this.#decideAll(body, 'look');
      case 'report':
        return this.#report(body);
      case 'refund':
        return this.#done(check, (charges) => this.ledger.give(charges));
      case 'reset':
        return this.#done(check, (charges) => this.ledger.reset(charges));
      case 'block':
        return this.#done(check, (charges) => this.ledger.block(charges, (body as { forMs: number }).forMs));
      case 'lease':
        return this.#lend(body);
      case 'return':
        return this.#done({ ...check, cost: (body as { units: number }).units }, (charges) =>
          this.ledger.give(charges),
        );
      default:
        throw new Problem('not_found', `there is no ${name}`);
    }
  }

  #decideAll(body: CheckRequest | CheckRequest[], mode: Mode): CheckAnswer | CheckAnswer[] {
    if (!Array.isArray(body)) return this.#decide(body, mode);
    // As the service does: one that is malformed spoils all, and nothing is counted.
    for (const check of body) this.#chargeOf(check);
    return body.map((check) => this.#decide(check, mode));
  }

  #decide(check: CheckRequest, mode: Mode): CheckAnswer {
    const charge = this.#chargeOf(check);
    const { outcomes, isAllowed } = this.ledger.decide([charge], mode);
    const { remaining, resetUs, retryAfterUs, isBlocked } = outcomes[0]!;
    const limit: LimitAnswer = {
      name: typeof check.limit === 'string' ? check.limit : 'inline',
      allowed: isAllowed,
      algorithm: charge.policy.name,
      limit: charge.policy.limit,
      windowMs: charge.policy.windowUs / 1_000,
      remaining,
      resetMs: Math.ceil(resetUs / 1_000),
    };
    const reservation =
      check.reserveMs === undefined ? {} : { reservation: JSON.stringify([check.limit, check.key, check.cost]) };
    if (isAllowed) return { allowed: true, limits: [limit], ...reservation };
    limit.retryAfterMs = retryAfterUs === Infinity ? null : Math.ceil(retryAfterUs / 1_000);
    if (isBlocked) limit.because = 'blocked';
    return { allowed: false, limits: [limit], violated: [limit.name], retryAfterMs: limit.retryAfterMs };
  }

  #report(body: CheckRequest | { reservation: string; cost: number }): CheckAnswer {
    if (!('reservation' in body)) return this.#decide(body, 'debit');
    const [limit, key, estimate] = JSON.parse(body.reservation);
    this.ledger.give([this.#chargeOf({ limit, key, cost: estimate })]);
    return this.#decide({ limit, key, cost: body.cost }, 'debit');
  }

  #done(check: CheckRequest, work: (charges: Charge[]) => void): { limits: number } {
    work([this.#chargeOf(check)]);
    return { limits: 1 };
  }

  #lend({ want, ttlMs, ...one }: CheckRequest & { want: number; ttlMs: number }): LeaseAnswer {
    const charge = this.#chargeOf(one);
    const { policy } = charge;
    const terms = {
      name: String(one.limit),
      ttlMs,
      limit: policy.limit,
      windowMs: policy.windowUs / 1_000,
      algorithm: policy.name,
    };
    if (this.#leaseShare === 0) {
      const { remaining, resetMs } = this.#decide({ ...one, cost: 0 }, 'look').limits[0]!;
      return { ...terms, units: 0, remaining: remaining!, resetMs: resetMs! };
    }
    const { units, remaining, resetUs, retryAfterUs } = this.ledger.grant(charge, want, this.#leaseShare);
    const retryAfterMs = units > 0 ? {} : { retryAfterMs: Math.ceil(retryAfterUs / 1_000) };
    return { ...terms, units, remaining, resetMs: Math.ceil(resetUs / 1_000), ...retryAfterMs };
  }

  #chargeOf({ domain = 'default', limit, key, cost = 1 }: CheckRequest): Charge {
    const spec = typeof limit === 'string' ? this.rules[limit] : limit;
    if (spec === undefined || limit === undefined) throw new Problem('limit_not_found', `there is no limit ${limit}`);
    const words = typeof key === 'string' ? [key] : (key ?? []);
    return { key: stateKey([domain, JSON.stringify(limit), ...words]), policy: policyOf(spec), cost };
  }
}
