/** A watch over HTTP: one NDJSON stream. */
import type { Caller } from '../caller.ts';
import { ndjsonValues } from '../ndjson.ts';
import { kvEndpoints } from './endpoints.ts';
import type { OpenWatch, WatchLine, WatchOptions, WatchSource, WatchStart } from './watch.ts';

/** Three heartbeats of a quiet watch (`KV_WATCH_HEARTBEAT_MS`, 15 s): a connection silent for longer is dead. */
const SILENCE_MS_MAX = 45_000;

export function streamSource(caller: Caller, bucket: string, options: WatchOptions): WatchSource {
  const { prefix, values, previous, signal } = options;
  return {
    async open(start: WatchStart): Promise<OpenWatch> {
      const from = start.initial ? { initial: true } : { since: start.since };
      const ask = {
        endpoint: kvEndpoints.watch,
        params: { bucket },
        query: { prefix, values, previous, ...from },
        headers: { accept: 'application/x-ndjson' },
      };
      const { headers, chunks } = await caller.openStream(ask, { signal, silenceMsMax: SILENCE_MS_MAX });
      const lines = ndjsonValues(chunks) as AsyncIterable<WatchLine[]>;
      return { revision: Number(headers['kv-revision']), lines };
    },
  };
}
