/**
 * Serving operations: each has a subscription of its own in the service's queue group.
 *
 * One wildcard for all of them is not faster (bus.bench.ts: 24 to 29 µs of CPU per request against 27 to 35 with 64 in
 * flight), since nats.js finds a subscription by its number, and a wildcard makes us decode the subject too. With a subscription each, the server itself answers "no
 * responders" for what a service does not offer, permissions can be given per operation, and two versions of a service
 * may share a queue group although one of them offers more.
 */
import { type Msg, type NatsConnection, nuid, type Subscription } from '@nats-io/transport-node';
import type { Span } from '@opentelemetry/api';
import type { Operation, Reply, Served } from '@plinth/contracts';
import { type Problem, toProblem } from '@plinth/problem';
import { consumerSpan, endSpan, forwarded, inContext, messagingAttributes } from '@plinth/telemetry';
import { type Answer, answerOf, problemAnswer } from './answer.ts';
import type { BusEndpoint, BusLog, BusService } from './bus.ts';
import { callReader } from './call-from-message.ts';
import { answerDiscovery } from './discovery.ts';
import { drained } from './drained.ts';
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
  let ended: Promise<void> | undefined;
  return {
    drain() {
      ended ??= drain(subscriptions, inFlight);
      return ended;
    },
  };
}

async function drain(subscriptions: readonly Subscription[], inFlight: InFlight): Promise<void> {
  await drained(subscriptions);
  await inFlight.drain(DRAIN_MS_MAX);
}

interface OperationPlan {
  served: Served;
  service: BusService;
  inFlight: InFlight;
  log: BusLog | undefined;
}

/** A message on its way to its answer. */
interface Taken {
  readonly message: Msg;
  readonly arrival: Arrival;
  readonly startedMs: number;
  /** Undefined: not traced. */
  readonly span: Span | undefined;
  /** Once it was read. */
  call: MessageCall | undefined;
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
        if (error === null) this.#take(message);
        else this.#plan.log?.error('NATS refuses a subscription', { subject, error: error.message });
      },
    });
  }

  get #operation(): Operation {
    return this.#plan.served.operation;
  }

  /** Takes one message. A handler that answers at once costs no promise. */
  #take(message: Msg): void {
    const startedMs = performance.now();
    const headers = headersOf(message);
    const traced = consumerSpan(headers, this.#span.name, this.#span.attributes);
    const trace = traced?.context ?? forwarded(headers);
    const arrival = { headers, trace, receivedMs: Date.now(), id: headers[REQUEST_ID] ?? nuid.next() };
    const taken: Taken = { message, arrival, startedMs, span: traced?.span, call: undefined };
    try {
      const reply = this.#handle(taken);
      if (!(reply instanceof Promise)) this.#answer(taken, reply);
      else {
        reply.then(
          (late) => this.#answer(taken, late),
          (thrown) => this.#fail(taken, thrown),
        );
      }
    } catch (thrown) {
      this.#fail(taken, thrown);
    }
  }

  #handle(taken: Taken): Reply | Promise<Reply> {
    const { inFlight, served } = this.#plan;
    const { message, arrival, span } = taken;
    inFlight.assertRoom();
    const call = new MessageCall(this.#read({ headers: arrival.headers, payload: message.data }), arrival);
    taken.call = call;
    inFlight.enter(call);
    return span === undefined ? served.handle(call) : inContext(call.trace, () => served.handle(call));
  }

  #answer(taken: Taken, reply: Reply): void {
    try {
      this.#respond(taken.message, answerOf(reply, this.#limitBytes, this.#operation.method === 'HEAD'));
      this.#end(taken);
    } catch (thrown) {
      this.#fail(taken, thrown);
    }
  }

  /** Answers in any case. */
  #fail(taken: Taken, thrown: unknown): void {
    const problem = toProblem(thrown);
    const { id } = taken.arrival;
    if (problem.code === 'internal') this.#logBug(problem, id);
    this.#respond(taken.message, problemAnswer(problem, id));
    this.#end(taken, problem);
  }

  #end({ call, startedMs, span }: Taken, error?: Problem): void {
    if (call !== undefined) {
      call.release();
      this.#plan.inFlight.leave(call);
    }
    this.#stats.note({ startedMs, error: error && { status: error.status, title: error.kind.title } });
    endSpan(span, error);
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
