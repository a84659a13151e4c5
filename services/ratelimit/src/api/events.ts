/**
 * The event stream: SSE over the ring of events. An id is the run of the service and the number of the event, so that
 * an id of before a restart is known for what it is: the reader then gets a `gap`, and goes on from what there is.
 */
import { type Call, ratelimit, type Served, serve } from '@plinth/contracts';
import { Problem } from '@plinth/problem';
import type { RingEvent } from '../core/event-ring.ts';
import type { Observatory } from '../core/observatory.ts';

export interface EventsRooms {
  observatory: Observatory;
  /** A reader that takes nothing for so long is cut off. */
  stallMs: number;
}

/** Readers at once; each is a page somewhere. */
const READERS_MAX = 200;
/** Events that are written in one go. */
const BATCH_MAX = 100;

export function eventsOperations(rooms: EventsRooms): Served[] {
  const { observatory, stallMs } = rooms;
  const readers = { count: 0 };
  return [
    serve(ratelimit.watchEvents, (call) => {
      if (readers.count >= READERS_MAX) {
        const detail = `${READERS_MAX} event streams are open; that is the most`;
        throw new Problem('overloaded', detail, { retryAfterMs: 5_000 });
      }
      const place = placeOf(observatory, call.header('last-event-id'), call.query.history === true);
      const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-store' };
      return { status: 200, headers, body: stream(rooms, readers, place, call as Call), stallMs };
    }),
  ];
}

interface Place {
  /** Everything up to it has been told. */
  after: number;
  isGap: boolean;
}

/** @throws Problem when the id is none. */
function placeOf({ events, startedMs }: Observatory, id: string | undefined, wantsHistory: boolean): Place {
  const oldest = events.firstNumber - 1;
  if (id === undefined || id === '') return { after: wantsHistory ? oldest : events.lastNumber, isGap: false };
  const [, run, number] = /^([0-9a-z]{1,12})-(\d{1,15})$/.exec(id) ?? [];
  if (run === undefined) {
    throw new Problem('invalid_request', `Last-Event-ID is ${JSON.stringify(id)}; it takes the id of an event`, {
      issues: [{ path: '/headers/last-event-id', message: 'expected the id of an event' }],
    });
  }
  const after = Number(number);
  const isKnown = run === runOf(startedMs) && after >= oldest && after <= events.lastNumber;
  return { after: isKnown ? after : oldest, isGap: !isKnown };
}

const runOf = (startedMs: number): string => Math.floor(startedMs).toString(36);

async function* stream(
  rooms: EventsRooms,
  readers: { count: number },
  place: Place,
  call: Call,
): AsyncGenerator<string> {
  const { signal } = call;
  const { events, startedMs } = rooms.observatory;
  let { after } = place;
  readers.count++;
  try {
    yield `retry: 2000\n${eventText('totals', JSON.stringify(rooms.observatory.totals()))}`;
    if (place.isGap) yield eventText('gap', '{}');
    for (;;) {
      // A reader that was too slow for the ring: what it missed is gone.
      if (after < events.firstNumber - 1) {
        after = events.firstNumber - 1;
        yield eventText('gap', '{}');
      }
      const batch = events.after(after, BATCH_MAX);
      if (batch.length > 0) {
        after = batch.at(-1)!.number;
        yield batch.map((event) => ringText(event, startedMs)).join('');
      } else if (events.isEnded) {
        yield eventText('end', '{}');
        return;
      } else await events.beyond(after, signal);
      if (signal.aborted) return;
    }
  } finally {
    readers.count--;
  }
}

const ringText = ({ number, type, data }: RingEvent, startedMs: number): string =>
  eventText(type, data, `${runOf(startedMs)}-${number}`);

/** JSON has no line breaks of its own, so one line is enough. */
function eventText(type: string, data: string, id?: string): string {
  return `event: ${type}\n${id === undefined ? '' : `id: ${id}\n`}data: ${data}\n\n`;
}
