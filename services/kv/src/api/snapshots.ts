/** Snapshots: copies of the state, made and gone back to while serving. */
import { json, kv, type Served, serve } from '@plinth/contracts';
import type { Snapshots } from '../snapshots.ts';
import { onceOf } from './request-headers.ts';

export function snapshotOperations(snapshots: Snapshots): Served[] {
  return [
    serve(kv.listSnapshots, async () => json(200, { snapshots: await snapshots.list() })),
    serve(kv.createSnapshot, async (call) => {
      const { snapshot, isReplay } = await snapshots.create(onceOf(call, () => [])?.id);
      const replayed: Record<string, string> = isReplay ? { 'idempotency-replayed': 'true' } : {};
      return json(201, snapshot, { location: `/v1/snapshots/${snapshot.id}`, ...replayed });
    }),
    serve(kv.removeSnapshot, async (call) => {
      await snapshots.remove(call.params.id!);
      return { status: 204 };
    }),
    serve(kv.restoreSnapshot, async (call) => json(200, { revision: await snapshots.restore(call.params.id!) })),
  ];
}
