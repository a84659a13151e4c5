/** The key-value store: buckets and snapshots. */
import type * as kv from '@plinth/contracts/kv';
import type { Caller, CallOptions } from '../caller.ts';
import { replyJson } from '../reply-json.ts';
import { KvBucket } from './bucket.ts';
import { kvEndpoints } from './endpoints.ts';

/** Settings of a bucket as they are given: all may be left out. `mode` is fixed when the bucket is made. */
export type BucketSettings = (typeof kv.bucketSettings)['_zod']['input'];

/** The way in: `bucket(name)` for what is in one, the rest for buckets as a whole. */
export class KvClient {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** What can be done in one bucket. Asks nothing: the bucket may not be there yet. */
  bucket(name: string): KvBucket {
    return new KvBucket(this.#caller, name);
  }

  /** All buckets, by name. */
  async listBuckets(options: CallOptions = {}): Promise<kv.Bucket[]> {
    const reply = await this.#caller.call({ endpoint: kvEndpoints.listBuckets }, options);
    return replyJson<{ buckets: kv.Bucket[] }>(reply).buckets;
  }

  /**
   * Makes a bucket, or gives one that is there these settings; what is left out gets its default.
   *
   * @throws Problem `conflict` when the mode would change; `invalid_request` for settings that contradict each other.
   */
  async putBucket(bucket: string, settings: BucketSettings = {}, options: CallOptions = {}): Promise<kv.Bucket> {
    const body = JSON.stringify(settings);
    const headers = { 'content-type': 'application/json' };
    return replyJson(
      await this.#caller.call({ endpoint: kvEndpoints.putBucket, params: { bucket }, body, headers }, options),
    );
  }

  /** Deletes a bucket with everything in it. @throws Problem `bucket_not_found`, also when only a repeat was answered. */
  async deleteBucket(bucket: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.call({ endpoint: kvEndpoints.deleteBucket, params: { bucket } }, options);
  }

  /** Newest first. */
  async listSnapshots(options: CallOptions = {}): Promise<kv.Snapshot[]> {
    const reply = await this.#caller.call({ endpoint: kvEndpoints.listSnapshots }, options);
    return replyJson<{ snapshots: kv.Snapshot[] }>(reply).snapshots;
  }

  /**
   * Copies all buckets as they are now, while they are served. Not repeated when its answer was lost: look at the list.
   * Cost: grows with the data; give it a long `timeoutMs`.
   */
  async createSnapshot(options: CallOptions = {}): Promise<kv.Snapshot> {
    return replyJson(await this.#caller.call({ endpoint: kvEndpoints.createSnapshot }, options));
  }

  /** @throws Problem `snapshot_not_found`. */
  async deleteSnapshot(id: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.call({ endpoint: kvEndpoints.deleteSnapshot, params: { id } }, options);
  }

  /** Goes back to a snapshot; revisions go on from the highest ever given. @throws Problem `snapshot_not_found`. */
  async restoreSnapshot(id: string, options: CallOptions = {}): Promise<{ revision: number }> {
    return replyJson(await this.#caller.call({ endpoint: kvEndpoints.restoreSnapshot, params: { id } }, options));
  }
}
