/**
 * What the service tells on the bus: that a bucket has changed, up to which revision, and which keys. Values are not
 * sent; whoever wants them, or sees a gap between two notices, asks the operation `changes`.
 */

import type { Bus } from '@plinth/bus';
import { changesSubject } from '@plinth/contracts/kv';
import { keyMembers } from './api/key.ts';
import type { Catalog, Handle } from './core/catalog.ts';
import { changesSince } from './core/reader.ts';

/** Changes of a bucket within this time share a notice. */
const NOTICE_GAP_MS = 10;
/** More keys than this are not named: `truncated` says so. */
const NOTICE_KEYS_MAX = 500;

export interface ChangeNotice {
  bucket: string;
  /** The notice before this one ended here: another number than the reader's last means it missed one. */
  previousRevision: number;
  revision: number;
  changes: ({ type: string; revision: number } & ({ key: string } | { keyBase64: string }))[];
  truncated?: true;
}

export class ChangeNotices {
  readonly #bus: Bus;
  readonly #catalog: Catalog;
  /** Up to where each bucket was announced. */
  readonly #announced = new Map<string, number>();
  readonly #stops = new Map<Handle, () => void>();
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(bus: Bus, catalog: Catalog) {
    this.#bus = bus;
    this.#catalog = catalog;
    catalog.onPlaced((handle) => this.#follow(handle));
  }

  stop(): void {
    for (const stop of this.#stops.values()) stop();
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #follow(handle: Handle): void {
    const before = this.#announced.get(handle.name);
    this.#announced.set(handle.name, handle.bucket.revision);
    // The bucket was restored, or made anew under its old name: what was announced is another history.
    if (before !== undefined) this.#publish({ ...emptyNotice(handle, before), truncated: true });
    let waits = false;
    const stop = handle.engine.hub.watch(handle.bucket.id, () => {
      if (waits) return;
      waits = true;
      const timer = setTimeout(() => {
        waits = false;
        this.#timers.delete(timer);
        this.#announce(handle);
      }, NOTICE_GAP_MS);
      this.#timers.add(timer);
    });
    this.#stops.set(handle, stop);
  }

  #announce(handle: Handle): void {
    if (this.#catalog.peek(handle.name) !== handle) {
      this.#stops.get(handle)?.();
      this.#stops.delete(handle);
      return;
    }
    // A restore is closing the engine: the bucket will be placed anew and that announced.
    if (handle.engine.notReady() !== undefined) return;
    const previousRevision = this.#announced.get(handle.name) ?? 0;
    const notice = noticeOf(handle, previousRevision);
    this.#announced.set(handle.name, notice.revision);
    this.#publish(notice);
  }

  /** One that cannot be sent is seen by its gap. */
  #publish(notice: ChangeNotice): void {
    if (this.#bus.notReady() === undefined) this.#bus.publish(changesSubject(notice.bucket), JSON.stringify(notice));
  }
}

const emptyNotice = ({ name, bucket }: Handle, previousRevision: number): ChangeNotice => ({
  bucket: name,
  previousRevision,
  revision: bucket.revision,
  changes: [],
});

function noticeOf(handle: Handle, previousRevision: number): ChangeNotice {
  const { engine, bucket } = handle;
  const notice = emptyNotice(handle, previousRevision);
  if (previousRevision < bucket.compactedRevision) return { ...notice, truncated: true };
  const limits = { limit: NOTICE_KEYS_MAX, bytesMax: 1_048_576 };
  const { rows, more } = changesSince(engine.store, bucket, previousRevision, limits);
  for (const { record, revision } of rows.slice(0, NOTICE_KEYS_MAX)) {
    notice.changes.push({ type: record.type, revision, ...keyMembers(record.key) });
  }
  return more || rows.length > NOTICE_KEYS_MAX ? { ...notice, truncated: true } : notice;
}
