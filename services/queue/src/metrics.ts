/** What the queue tells Prometheus: by queue, never by job, group or worker. */
import type { EventNews } from './bus/event-news.ts';
import type { ResultWriter } from './bus/result-writer.ts';
import { COUNTED } from './core/queue-figures.ts';
import type { Queues } from './core/queues.ts';
import type { Workers } from './core/workers.ts';
import { counter, gauge, type Sample } from './metric-lines.ts';

export interface MetricsRooms {
  queues: Queues;
  workers: Workers;
  now(): number;
  /** Undefined: nothing is told on the bus. */
  eventNews: Pick<EventNews, 'published' | 'dropped'> | undefined;
  results: Pick<ResultWriter, 'written' | 'failed'>;
  /** Rooms with lines of their own. */
  parts: readonly { metrics(): string }[];
}

const HELP: Readonly<Record<(typeof COUNTED)[number], string>> = {
  enqueued: 'Jobs that came here; duplicates do not count.',
  leased: 'Jobs given to workers here.',
  completed: 'Jobs that were done.',
  failed: 'Attempts that failed or ran out of time, and are followed by another.',
  dead: 'Jobs that became dead letters.',
  cancelled: 'Jobs that were cancelled.',
  stalled: 'Leases that ended without a word, as far as this replica ended them.',
  released: 'Jobs that were given back.',
  leasesLost: 'Words of workers whose lease had ended or was given to another.',
  duplicateAcks: 'Words of workers that had been said before.',
  emptyLeases: 'Asks for jobs that found none.',
};

export function metrics(rooms: MetricsRooms): string {
  const { queues } = rooms;
  return [
    ...depths(rooms),
    ...counters(rooms),
    ...histograms(rooms),
    ...ofProcess(rooms),
    gauge('waiting_requests', 'Requests that wait for jobs.', [['', queues.waiters]]),
    ...rooms.parts.map((part) => withNewline(part.metrics())),
  ].join('');
}

function depths({ queues, workers, now }: MetricsRooms): string[] {
  const shown = queues.shown();
  const of = (value: (one: (typeof shown)[number]) => number): Sample[] =>
    shown.map((one) => [label(one.queue), value(one)]);
  const nowMs = now();
  return [
    gauge(
      'jobs',
      'Jobs by state, some seconds ago.',
      shown.flatMap(({ queue, stats }) =>
        Object.entries(stats.counts).map(([state, count]): Sample => [`queue="${queue}",state="${state}"`, count]),
      ),
    ),
    gauge(
      'oldest_waiting_seconds',
      'Since the oldest waiting job could first have been leased; 0: none waits.',
      of(({ stats }) => stats.oldestWaitingMs / 1_000),
    ),
    gauge(
      'paused',
      'Jobs of the queue are given to nobody.',
      of(({ stats }) => Number(stats.isPaused)),
    ),
    gauge(
      'store_bytes',
      'Bytes of the queue in the store, about.',
      of(({ stats }) => stats.bytes),
    ),
    gauge(
      'unfetched_seconds',
      'Jobs wait, and nobody has asked this replica for any for so long; 0: all is well.',
      of(({ stats, room }) => queues.unfetchedMs(stats, room, nowMs) / 1_000),
    ),
    gauge(
      'worker_slots',
      'Slots of the workers that told of themselves.',
      of(({ queue }) => workers.slots(queue).total),
    ),
    gauge(
      'worker_slots_used',
      'Of these, those at work.',
      of(({ queue }) => workers.slots(queue).used),
    ),
  ];
}

function counters({ queues }: MetricsRooms): string[] {
  const shown = queues.shown();
  return COUNTED.map((name) =>
    counter(
      `${snake(name)}_total`,
      HELP[name],
      shown.map(({ queue, room }) => [label(queue), room.figures.counts[name]]),
    ),
  );
}

/** The names of OpenTelemetry's messaging conventions where they say the same: seconds, and the queue as destination. */
function histograms({ queues }: MetricsRooms): string[] {
  const shown = queues.shown();
  const kinds = [
    ['queue_wait_seconds', 'From when a job could first have been leased until it was.', 'wait', label],
    ['lateness_seconds', 'How late jobs with a time of their own were made ready.', 'lateness', label],
    ['process_seconds', 'From the lease of a job until it was settled.', 'process', label],
  ] as const;
  const own = kinds.map(([name, help, figure, labels]) =>
    histogram(
      `plinth_queue_${name}`,
      help,
      shown.map(({ queue, room }) => room.figures[figure].lines(`plinth_queue_${name}`, labels(queue))),
    ),
  );
  const name = 'messaging_process_duration_seconds';
  const labels = (queue: string) =>
    `messaging_system="plinth",messaging_operation_name="process",messaging_destination_name="${queue}"`;
  const conventional = histogram(
    name,
    'Duration of processing, by the messaging conventions.',
    shown.map(({ queue, room }) => room.figures.process.lines(name, labels(queue))),
  );
  return [...own, conventional];
}

function ofProcess({ eventNews, results }: MetricsRooms): string[] {
  return [
    counter('events_published_total', 'Events told on the bus.', [['', eventNews?.published ?? 0]]),
    counter('events_dropped_total', 'Events that the bus could not take.', [['', eventNews?.dropped ?? 0]]),
    counter('results_written_total', 'Results written to the key-value store.', [['', results.written]]),
    counter('results_failed_total', 'Results that could not be written there.', [['', results.failed]]),
  ];
}

const label = (queue: string): string => `queue="${queue}"`;
const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const histogram = (name: string, help: string, parts: readonly string[]): string =>
  `# HELP ${name} ${help}\n# TYPE ${name} histogram\n${parts.join('')}`;

const withNewline = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`);
