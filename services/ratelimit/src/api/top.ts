/** The keys that come most often, and those that are denied most often. */
import { json, ratelimit, type Served, serve } from '@plinth/contracts';
import type { TopAnswer } from '@plinth/contracts/ratelimit';
import { keyParts } from '../core/key-parts.ts';
import type { Observatory } from '../core/observatory.ts';
import type { CountedKey } from '../core/top-keys.ts';

export interface TopRooms {
  observatory: Observatory;
  /** How values of keys are shown. */
  show: (value: string) => string;
}

const LIMIT = 100;

export function topOperations({ observatory, show }: TopRooms): Served[] {
  return [
    serve(ratelimit.top, ({ query: { by, window, limit = LIMIT } }) => {
      const counted = by === 'hits' ? observatory.hits : observatory.denied;
      const { keys, sinceMs, total, unlistedMax } = window === 'recent' ? counted.recent() : counted.all();
      const shown = keys.slice(0, limit);
      // Of those that the list leaves out the next one has the most.
      const most = keys[limit]?.count ?? unlistedMax;
      const answer: TopAnswer = { by, window, sinceMs, total, unlistedMax: most, keys: shown.map(keyJson(show)) };
      return json(200, answer, { 'cache-control': 'no-store' });
    }),
  ];
}

const keyJson =
  (show: (value: string) => string) =>
  ({ key, count, error }: CountedKey): TopAnswer['keys'][number] => {
    const [domain = '', rule = '', ...values] = keyParts(key);
    return { domain, rule, key: values.map(show), count, error };
  };
