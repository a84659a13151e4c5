/**
 * Serving operations: each has a subscription of its own in the service's queue group.
 *
 * One wildcard for all of them is not faster (bus.bench.ts: 24 to 29 µs of CPU per request against 27 to 35 with 64 in
 * flight), since nats.js finds a subscription by its number, and a wildcard makes us decode the subject too. With a subscription each, the server itself answers "no
 * responders" for what a service does not offer, permissions can be given per operation, and two versions of a service
 * may share a queue group although one of them offers more.
 */
import { type Msg, type NatsConnection, nuid, type Subscription } from '@nats-io/transport-node';
import type { Operation, Reply, Served } from '@plinth/contracts';
import { type Problem, toProblem } from '@plinth/problem';
import { consumerSpan, endSpan, forwarded, inContext, messagingAttributes } from '@plinth/telemetry';
import { type Answer, answerOf, problemAnswer } from './answer.ts';
import type { BusEndpoint, BusLog, BusService } from './bus.ts';
import { callReader } from './call-from-message.ts';
import { answerDiscovery } from './discovery.ts';
import { EndpointStats } from './endpoint-stats.ts';
import { InFlight } from './in-flight.ts';
import { type Arrival, MessageCall } from './message-call.ts';
import { headersOf, REQUEST_ID } from './wire-headers.ts';

/** A thousand requests of 1 MiB are as much memory as a service of ours has. */
const IN_FLIGHT_MAX = 1_000;
/** What takes longer to end than a pod is given would be cut off anyway. */
const DRAIN_MS_MAX = 10_000;

export type Endpoint = BusEndpoint;

interface Plan {
  service: BusService;
  operations: readonly Served[];
  log: BusLog | undefined;
}

/** Subscribes and waits until the server knows. */
export async function openEndpoint(connection: NatsConnection, { service, operations, log }: Plan): Promise<Endpoint> {
  const inFlight = new InFlight(service.inFlightMax ?? IN_FLIGHT_MAX);
  const offered = operations
    .filter(({ operation }) => !operation.streams && operation.body.kind !== 'stream')
    .map((served) => new OperationEndpoint(connection, { served, service, inFlight, log }));
  const { name, version, description } = service;
  const discovery = answerDiscovery(connection, {
    ...{ name, version, description, id: nuid.next(), startedAt: new Date() },
    endpoints: offered.map((endpoint) => endpoint.described),
  });
  const subscriptions = [...offered.map((endpoint) => endpoint.subscribe()), ...discovery];
  await connection.flush();
  let drained: Promise<void> | undefined;
  return {
    drain() {
      drained ??= drain(subscriptions, inFlight);
      return drained;
    },
  };
}

/** The server answers the flush of a draining subscription last, so what it had sent us by then has been taken. */
async function drain(subscriptions: readonly Subscription[], inFlight: InFlight): Promise<void> {
  const open = subscriptions.filter((subscription) => !subscription.isClosed());
  await Promise.allSettled(open.map((subscription) => subscription.drain()));
  await inFlight.drain(DRAIN_MS_MAX);
}

interface OperationPlan {
  served: Served;
  service: BusService;
  inFlight: InFlight;
  log: BusLog | undefined;
}

/** One operation on the bus: takes its messages, has them handled, answers. */
class OperationEndpoint {
  readonly #connection: NatsConnection;
  readonly #plan: OperationPlan;
  readonly #read: ReturnType<typeof callReader>;
  readonly #stats = new EndpointStats();
  readonly #span: ReturnType<typeof messagingAttributes>;

  constructor(connection: NatsConnection, plan: OperationPlan) {
    const { operation } = plan.served;
    const facts = { system: 'nats', operation: 'process', type: 'process', destination: operation.subject } as const;
    this.#connection = connection;
    this.#plan = plan;
    this.#read = callReader(operation);
    this.#span = messagingAttributes({ ...facts, group: plan.service.name });
    this.#span.attributes['rpc.method'] = `${operation.service}/${operation.name}`;
  }

  get described() {
    const { name, subject, summary } = this.#operation;
    return { name, subject, queueGroup: this.#plan.service.name, metadata: { summary }, stats: this.#stats };
  }

  subscribe(): Subscription {
    const { subject } = this.#operation;
    return this.#connection.subscribe(subject, {
      queue: this.#plan.service.name,
      callback: (error, message) => {
        if (error === null) void this.#take(message);
        else this.#plan.log?.error('NATS refuses a subscription', { subject, error: error.message });
      },
    });
  }

  get #operation(): Operation {
    return this.#plan.served.operation;
  }

  async #take(message: Msg): Promise<void> {
    const startedMs = performance.now();
    const headers = headersOf(message);
    const traced = consumerSpan(headers, this.#span.name, this.#span.attributes);
    const trace = traced?.context ?? forwarded(headers);
    const arrival = { headers, trace, receivedMs: Date.now(), id: headers[REQUEST_ID] ?? nuid.next() };
    const error = await this.#answer(message, arrival, traced !== undefined);
    this.#stats.note({ startedMs, error: error && { status: error.status, title: error.kind.title } });
    endSpan(traced?.span, error);
  }

  /** Answers in any case. Resolves with the problem, if that was the answer. */
  async #answer(message: Msg, arrival: Arrival, isTraced: boolean): Promise<Problem | undefined> {
    try {
      const reply = await this.#handle(message, arrival, isTraced);
      this.#respond(message, answerOf(reply, this.#limitBytes, this.#operation.method === 'HEAD'));
      return undefined;
    } catch (thrown) {
      const problem = toProblem(thrown);
      if (problem.code === 'internal') this.#logBug(problem, arrival.id);
      this.#respond(message, problemAnswer(problem, arrival.id));
      return problem;
    }
  }

  async #handle(message: Msg, arrival: Arrival, isTraced: boolean): Promise<Reply> {
    const { inFlight, served } = this.#plan;
    inFlight.assertRoom();
    const call = new MessageCall(this.#read({ headers: arrival.headers, payload: message.data }), arrival);
    inFlight.enter(call);
    try {
      return await (isTraced ? inContext(call.trace, () => served.handle(call)) : served.handle(call));
    } finally {
      call.release();
      inFlight.leave(call);
    }
  }

  /** A server that is away takes no answer; the caller's own deadline tells it so. */
  #respond(message: Msg, { headers, payload }: Answer): void {
    if (!this.#connection.isClosed()) message.respond(payload, { headers });
  }

  #logBug(problem: Problem, requestId: string): void {
    const { cause } = problem;
    const error = cause instanceof Error ? cause.stack : String(cause ?? problem.message);
    this.#plan.log?.error('a handler met a bug', { operation: this.#operation.subject, requestId, error });
  }

  get #limitBytes(): number {
    return this.#connection.info?.max_payload ?? Number.POSITIVE_INFINITY;
  }
}
