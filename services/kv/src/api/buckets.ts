/** Buckets themselves: making, changing, looking at and deleting them, and compacting by hand. */
import { type Call, json, kv, type Served, serve } from '@plinth/contracts';
import type { Bucket, BucketSettings } from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import type { Catalog, Handle } from '../core/catalog.ts';
import { countLive } from '../core/reader.ts';
import { timeText } from './entry-json.ts';
import { legalBucket } from './key.ts';
import { submitOptions } from './writes.ts';

/** Records that one step of a compaction visits. */
const COMPACT_RECORDS = 1_000;

export function bucketOperations({ catalog }: { catalog: Catalog }): Served[] {
  return [
    serve(kv.listBuckets, () => json(200, { buckets: catalog.list().map(bucketJson) })),
    serve(kv.getBucket, (call) => json(200, bucketJson(catalog.find(call.params.bucket!)))),
    serve(kv.putBucket, async (call) => {
      const name = legalBucket(call.params.bucket!);
      refuseContradictions(call.body);
      const { handle, created } = await catalog.define(name, call.body);
      return json(created ? 201 : 200, bucketJson(handle), created ? { location: `/v1/buckets/${name}` } : {});
    }),
    serve(kv.removeBucket, async (call) => {
      await catalog.drop(call.params.bucket!);
      return { status: 204 };
    }),
    serve(kv.compact, async (call) => {
      const { engine, bucket } = catalog.find(call.params.bucket!);
      const revision = Math.min(call.query.rev ?? bucket.revision, bucket.revision);
      let removed = 0;
      for (;;) {
        const done = await engine.submit(
          { do: 'compact', bucket: bucket.id, revision, limit: COMPACT_RECORDS },
          submitOptions(call as Call, 256),
        );
        removed += done.removed ?? 0;
        if (!done.more) break;
      }
      return json(200, { compactedRevision: bucket.compactedRevision, removed });
    }),
  ];
}

export function bucketJson({ name, engine, bucket }: Handle): Bucket {
  const { settings, bytes, revision, compactedRevision, createdAtMs } = bucket;
  const keys = countLive(engine.store, bucket, engine.view().timeMs);
  return { name, settings, keys, bytes, revision, compactedRevision, createdAt: timeText(createdAtMs) };
}

/** Settings that mean nothing in the bucket's mode are faults, not decorations. */
function refuseContradictions({ mode, origin, bytesMax }: BucketSettings): void {
  if (mode === 'read-through' && origin === undefined) throw contradiction('origin', 'a read-through bucket needs one');
  if (mode !== 'read-through' && origin !== undefined) throw contradiction('origin', `means nothing in ${mode} mode`);
  const inMemory = mode === 'cache' || mode === 'read-through';
  if (inMemory && bytesMax === undefined)
    throw contradiction('bytesMax', `a ${mode} bucket needs a bound on its memory`);
}

const contradiction = (setting: string, message: string): Problem =>
  new Problem('invalid_request', `${setting}: ${message}`, { issues: [{ path: `/${setting}`, message }] });
