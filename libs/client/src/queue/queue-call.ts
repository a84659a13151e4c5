/** One call of the task queue: JSON in, JSON out. */
import { byteStringOf } from '../byte-string.ts';
import type { Caller, WriteOptions } from '../caller.ts';
import type { Endpoint } from '../endpoint.ts';
import { replyJson } from '../reply-json.ts';
import type { QueryValue } from '../transport.ts';

export interface QueueAsk {
  /** Path parameters as text. */
  params?: Record<string, string>;
  query?: Record<string, QueryValue>;
  /** Becomes JSON. */
  body?: unknown;
}

const JSON_HEADERS = { 'content-type': 'application/json' };

/** @returns The body of the answer; undefined when it has none. */
export async function callQueue<Answer>(
  caller: Caller,
  endpoint: Endpoint,
  { params = {}, query, body }: QueueAsk = {},
  options: WriteOptions = {},
): Promise<Answer> {
  const reply = await caller.call(
    {
      endpoint,
      params: Object.fromEntries(Object.entries(params).map(([name, text]) => [name, byteStringOf(text)])),
      query,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: JSON_HEADERS }),
    },
    options,
  );
  return (reply.body.byteLength === 0 ? undefined : replyJson(reply)) as Answer;
}
