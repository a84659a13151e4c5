/**
 * Who wants to know of changes. Watchers are woken, not fed: each keeps the revision it has reached and reads what
 * follows from the store, at its own pace. So a slow one costs no memory, and there is one way in which events are
 * made, whether they are a second or a day old.
 */
export class WatchHub {
  readonly #watchers = new Map<number, Set<() => void>>();

  /** @returns How to stop being woken. */
  watch(bucket: number, wake: () => void): () => void {
    const watchers = this.#watchers.get(bucket) ?? new Set();
    this.#watchers.set(bucket, watchers);
    watchers.add(wake);
    return () => {
      watchers.delete(wake);
      if (watchers.size === 0) this.#watchers.delete(bucket);
    };
  }

  wake(bucket: number): void {
    const watchers = this.#watchers.get(bucket);
    if (watchers !== undefined) for (const wake of watchers) wake();
  }

  /** After a restore every watcher must look again, wherever it stands. */
  wakeAll(): void {
    for (const bucket of this.#watchers.keys()) this.wake(bucket);
  }

  get count(): number {
    let count = 0;
    for (const watchers of this.#watchers.values()) count += watchers.size;
    return count;
  }
}
