/** What the store of entries promises, in its simplest form: an array of versions for each key. */
import type { View } from './reader.ts';

export interface ModelVersion {
  revision: number;
  timeMs: number;
  type: 'put' | 'delete' | 'expire';
  value: string;
  version: number;
  createRevision: number;
  expiresAtMs: number;
}

export class MvccModel {
  readonly keys = new Map<string, ModelVersion[]>();
  revision = 0;
  timeMs = 0;

  /** Time has come: what is due expires, in the order of deadlines and keys. */
  record(timeMs: number): void {
    this.timeMs = Math.max(this.timeMs, timeMs);
    const due = [...this.keys].filter(([, versions]) => {
      const last = versions.at(-1)!;
      return last.type === 'put' && last.expiresAtMs > 0 && last.expiresAtMs <= this.timeMs;
    });
    const deadline = (versions: ModelVersion[]) => versions.at(-1)!.expiresAtMs;
    due.sort(([a, x], [b, y]) => deadline(x) - deadline(y) || (a < b ? -1 : 1));
    for (const [key] of due) this.#end(key, 'expire', ++this.revision);
  }

  put(key: string, value: string, expiresAtMs: number, revision = ++this.revision): void {
    const versions = this.keys.get(key) ?? [];
    const last = versions.at(-1);
    const replaces = last?.type === 'put';
    this.keys.set(key, versions);
    versions.push({
      ...{ revision, timeMs: this.timeMs, type: 'put', value, expiresAtMs },
      version: replaces ? last.version + 1 : 1,
      createRevision: replaces ? last.createRevision : revision,
    });
  }

  delete(keys: readonly string[]): void {
    const live = keys.filter((key) => this.keys.get(key)?.at(-1)?.type === 'put');
    if (live.length === 0) return;
    this.revision += 1;
    for (const key of live) this.#end(key, 'delete', this.revision);
  }

  #end(key: string, type: 'delete' | 'expire', revision: number): void {
    const versions = this.keys.get(key)!;
    const { version, createRevision } = versions.at(-1)!;
    versions.push({ revision, timeMs: this.timeMs, type, value: '', version, createRevision, expiresAtMs: 0 });
  }

  /** The version that stood at a revision, live or not. */
  at(key: string, revision: number): ModelVersion | undefined {
    return this.keys.get(key)?.findLast((version) => version.revision <= revision);
  }

  live(key: string, { revision, timeMs }: View): ModelVersion | undefined {
    const version = this.at(key, revision);
    if (version?.type !== 'put') return undefined;
    return version.expiresAtMs === 0 || version.expiresAtMs > timeMs ? version : undefined;
  }

  sortedKeys(): string[] {
    return [...this.keys.keys()].sort((a, b) => (a < b ? -1 : 1));
  }

  /** Everything that happened after a revision: `revision type key value`, in order. */
  changesAfter(revision: number): string[] {
    const changes = [...this.keys].flatMap(([key, versions]) =>
      versions
        .filter((version) => version.revision > revision)
        .map(({ revision: at, type, value }) => [at, `${at} ${type} ${key} ${value}`] as const),
    );
    return changes.sort(([a, x], [b, y]) => a - b || (x < y ? -1 : 1)).map(([, line]) => line);
  }

  /** The versions of a key that a compaction to `compacted` keeps, newest first. */
  kept(key: string, compacted: number, historyCount: number): ModelVersion[] {
    const versions = this.keys.get(key) ?? [];
    const ended = versions.findLastIndex(({ revision, type }) => revision <= compacted && type !== 'put');
    const sinceThen = versions.slice(ended + 1);
    const old = sinceThen.filter(({ revision }) => revision <= compacted);
    return [...old.slice(-historyCount), ...sinceThen.slice(old.length)].reverse();
  }
}
