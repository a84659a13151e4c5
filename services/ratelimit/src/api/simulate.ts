/** What rules would make of traffic. Worked out in slices between other requests, a few at a time. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Call, json, ratelimit, type Served, serve } from '@plinth/contracts';
import { type Simulation as SimulationAnswer, type SyntheticTraffic, WATCH_LIMITS } from '@plinth/contracts/ratelimit';
import { grouped, Problem } from '@plinth/problem';
import type { RecordedDecision, Recorder } from '../core/recorder.ts';
import { Rehearsal } from '../core/rehearsal.ts';
import type { RequestPolicies } from '../core/request-policies.ts';
import { RuleBook, type RuleDocument } from '../core/rule-book.ts';
import { Simulation } from '../core/simulation.ts';
import { requestsOf, syntheticVisits, type Visit } from '../core/traffic.ts';
import { readCheck } from './read-check.ts';

export interface SimulateRooms {
  recorder: Recorder;
  /** The rules in force. */
  rules: { readonly book: RuleBook };
  policies: RequestPolicies;
  /**
   * A document of rules, ready to decide by, as if it were put.
   *
   * @param domain - Said beside the document; it must not contradict it.
   * @throws Problem `invalid_rules`
   */
  compile: (text: string, domain?: string) => RuleDocument | Promise<RuleDocument>;
  /** How values of keys are shown. */
  show: (value: string) => string;
  now: () => number;
}

type Given = { atMs: number };
type Traffic = 'recorded' | Given[] | SyntheticTraffic;
interface Span {
  source: SimulationAnswer['traffic']['source'];
  visits: Iterable<Visit>;
  fromMs: number;
  untilMs: number;
}

/** How long one slice holds the event loop, and how many requests are decided between two looks at the clock. */
const SLICE_MS = 4;
const STEP_REQUESTS = 25;
/** Simulations at once: each takes half a processor and up to 100 MB. */
const AT_ONCE_MAX = 2;

export function simulateOperations(rooms: SimulateRooms): Served[] {
  const running = { count: 0 };
  const run = (call: Call, span: Span, document: RuleDocument | undefined) =>
    oneOfFew(running, async () => {
      const { rules, show } = rooms;
      const { book } = rules;
      const candidate = new Rehearsal(document === undefined ? book : withDocument(book, document), span.fromMs);
      const present = document === undefined ? undefined : new Rehearsal(book, span.fromMs);
      const simulation = new Simulation({ ...span, candidate, present, show });
      await inSlices(simulation, call.signal);
      return json(200, simulation.answer(span.source));
    });
  return [
    serve(ratelimit.simulate, async (call) => {
      const { rules, traffic } = call.body;
      const document = rules === undefined ? undefined : await rooms.compile(rules);
      return run(call as Call, spanOf(rooms, traffic as Traffic), document);
    }),
    serve(ratelimit.dryRun, async (call) => {
      const { rules, domain } = call.body;
      return run(call as Call, recordedSpan(rooms), await rooms.compile(rules, domain));
    }),
  ];
}

/** The rules in force, but for one domain. */
function withDocument(book: RuleBook, document: RuleDocument): RuleBook {
  const documents = book.domains().map((domain) => book.documentOf(domain)!);
  return new RuleBook([...documents, document], book);
}

// ---------------------------------------------------------------- traffic

function spanOf(rooms: SimulateRooms, traffic: Traffic): Span {
  if (traffic === 'recorded') return recordedSpan(rooms);
  return Array.isArray(traffic) ? givenSpan(traffic, rooms) : syntheticSpan(traffic, rooms);
}

function recordedSpan({ recorder }: SimulateRooms): Span {
  const { fromMs, untilMs } = recorder.kept;
  return { source: 'recorded', visits: asVisits(recorder.decisions()), fromMs, untilMs };
}

function* asVisits(decisions: Iterable<RecordedDecision>): Generator<Visit> {
  for (const real of decisions) yield { atMs: real.atMs, check: real.check, real };
}

/** @throws Problem `invalid_request` when they are not in the order of time. */
function givenSpan(given: readonly Given[], { policies }: SimulateRooms): Span {
  const visits = given.map(({ atMs, ...body }, at) => {
    const beforeMs = given[at - 1]?.atMs ?? 0;
    if (atMs < beforeMs) throw refused(`/traffic/${at}/atMs`, `${atMs} is before ${beforeMs}, which stands before it`);
    return { atMs, check: readCheck(body, { mode: 'take', policies, path: `/traffic/${at}` }).check };
  });
  return { source: 'given', visits, fromMs: given[0]!.atMs, untilMs: given.at(-1)!.atMs };
}

/** @throws Problem `invalid_request` when it is too much. */
function syntheticSpan(traffic: SyntheticTraffic, { policies, now }: SimulateRooms): Span {
  const { simulatedMax } = WATCH_LIMITS;
  const requests = requestsOf(traffic);
  if (requests > simulatedMax) {
    const message = `${grouped(requests)} requests; the most is ${grouped(simulatedMax)}`;
    throw refused('/traffic', `ratePerSecond and durationMs make ${message}`);
  }
  const { domain, descriptors, cost } = traffic;
  const { subjects } = readCheck({ domain, descriptors, cost }, { mode: 'take', policies, path: '/traffic' }).check;
  const startMs = Math.floor(now() / 1_000) * 1_000;
  const visits = syntheticVisits({ ...traffic, subjects, startMs });
  return { source: 'synthetic', visits, fromMs: startMs, untilMs: startMs + traffic.durationMs };
}

const refused = (path: string, message: string): Problem =>
  new Problem('invalid_request', message, { issues: [{ path, message }] });

// ---------------------------------------------------------------- running

/** @throws Problem `overloaded` */
async function oneOfFew<T>(running: { count: number }, work: () => Promise<T>): Promise<T> {
  if (running.count >= AT_ONCE_MAX) {
    throw new Problem('overloaded', `${AT_ONCE_MAX} simulations are running; that is the most`, {
      retryAfterMs: 1_000,
    });
  }
  running.count++;
  try {
    return await work();
  } finally {
    running.count--;
  }
}

async function inSlices(simulation: Simulation, signal: AbortSignal): Promise<void> {
  for (let sliceEndMs = performance.now() + SLICE_MS; simulation.step(STEP_REQUESTS); ) {
    if (performance.now() < sliceEndMs) continue;
    await nextTurn();
    signal.throwIfAborted();
    sliceEndMs = performance.now() + SLICE_MS;
  }
}
