/** A client of the suite: typed, over HTTP or NATS, repeating only what is safe. README.md shows it at work. */
import type { ApiKey } from './api-key.ts';
import { Caller } from './caller.ts';
import { HttpTransport } from './http-transport.ts';
import { KvClient } from './kv/kv-client.ts';
import { type BusLike, type NatsAddress, NatsTransport } from './nats-transport.ts';
import { QueueClient } from './queue/queue-client.ts';
import type { Transport } from './transport.ts';

export type { Bucket, ChangeEvent, Mode, Snapshot } from '@plinth/contracts/kv';
export { Problem, type ProblemCode } from '@plinth/problem';
export type { ApiKey } from './api-key.ts';
export type { Key } from './byte-string.ts';
export type { CallOptions, WriteOptions } from './caller.ts';
export { KvBucket, type Transaction, type Written } from './kv/bucket.ts';
export type { Change } from './kv/change.ts';
export { Entry } from './kv/entry.ts';
export { type BucketSettings, KvClient } from './kv/kv-client.ts';
export type { EntryPage, Listing, ListOptions, Past } from './kv/listing.ts';
export type { Check, Increment, Operation, OperationResult, Range } from './kv/operations.ts';
export type { ImportItem } from './kv/transfer.ts';
export type { KeyVersion } from './kv/version.ts';
export type { Watch, WatchItem, WatchOptions } from './kv/watch.ts';
export type { ConditionalOptions, Conditions, Description, Life, PutOptions } from './kv/write-headers.ts';
export type { BusLike, NatsAddress } from './nats-transport.ts';
export { JobListing, type JobListOptions, type JobPage } from './queue/job-listing.ts';
export { type AddedItem, Queue, type RedriveFilter, type RenewedItem, type SettledItem } from './queue/queue.ts';
export { QueueClient, type WorkerOrder } from './queue/queue-client.ts';

export type ClientOptions = {
  /** How often a call is repeated at most, when that is safe. Default 4; 0: never. */
  retries?: number;
  /** Milliseconds for a call with its repeats, passed on to the service. Default 5,000. Streams go on beyond it. */
  timeoutMs?: number;
  /** Sent with every request. */
  headers?: Readonly<Record<string, string>>;
} & (
  | {
      url: string;
      /** Sent as `Authorization: Bearer …`: a key, or a function that finds it, asked anew for each attempt. */
      apiKey?: ApiKey | undefined;
      nats?: undefined;
    }
  // No key on the bus, where others may listen: the permissions of NATS guard it.
  | { nats: BusLike | NatsAddress; url?: undefined; apiKey?: undefined }
);

export interface Client {
  readonly kv: KvClient;
  readonly queues: QueueClient;
  /** As they were given: for those who want a connection of their own to the same place. Not shown when it is printed. */
  readonly options: ClientOptions;
  /** Closes connections; calls under way fail, watches end. A bus that was given stays open. */
  close(): Promise<void>;
}

const RETRIES = 4;
const TIMEOUT_MS = 5_000;

/**
 * Makes a client. Connects when it is first used, so that a service may start later.
 *
 * @param options - `url` of a service over HTTP; or `nats`, a bus or where one is, which carries all but
 * `export`, `import` and `previous` of a watch.
 * @throws TypeError when `url` is none, or `apiKey` is no key.
 */
export function createClient(options: ClientOptions): Client {
  const { retries = RETRIES, timeoutMs = TIMEOUT_MS, headers = {} } = options;
  const transport: Transport =
    options.nats === undefined
      ? new HttpTransport({ url: options.url, apiKey: options.apiKey })
      : new NatsTransport(options.nats);
  const caller = new Caller({ transport, retries, timeoutMs, headers: lowerCase(headers), random: Math.random });
  const client = { kv: new KvClient(caller), queues: new QueueClient(caller), close: () => transport.close() };
  // It may hold a key, which must not come into a log with the client.
  return Object.defineProperty(client, 'options', { value: options, enumerable: false }) as typeof client & Client;
}

function lowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
