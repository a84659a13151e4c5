/**
 * Rules in the key-value store, the same for all replicas: a key per domain, whose value is the document.
 *
 * Every change is announced on the bus; whoever hears of one lists the bucket and fetches what is new. Announcements
 * may get lost, so the list is also asked for after the bus was away, and every few seconds anyway. While the store is
 * away, what was loaded stays in force, and a replica that starts meanwhile starts without.
 */
import { randomUUID } from 'node:crypto';
import type { Bus } from '@plinth/bus';
import { createClient, type KvBucket } from '@plinth/client';
import { changesSubject } from '@plinth/contracts/kv';
import { RULES_BUCKET } from '@plinth/contracts/ratelimit';
import { Problem } from '@plinth/problem';
import type { Log } from '@plinth/service-kit';
import type { LiveRules, RuleDocument } from '../core/rule-book.ts';
import { RuleFault, RulesRefused } from './fault.ts';
import { parseRulesAside } from './rule-parser.ts';

export interface KvRulesOptions {
  readonly bus: Bus;
  readonly rules: LiveRules;
  readonly log: Log;
  /** How often to list without being told. */
  readonly pollMs?: number;
}

export const KV_SOURCE = 'kv';

/** A document as the store has it. */
export interface StoredRules {
  readonly domain: string;
  readonly revision: number;
  readonly text: string;
  /** Undefined when the store's document is refused; an earlier one of it may be in force. */
  readonly document: RuleDocument | undefined;
  readonly faults: readonly RuleFault[];
}

/** Requests of the upkeep, which is repeated anyway. */
const UPKEEP_MS_MAX = 3_000;
/** How often to see whether the bus has come back, or the store. */
const TICK_MS = 1_000;

interface Kept {
  readonly revision: number;
  readonly text: string;
  readonly isRefused: boolean;
  /** The last good one. */
  readonly document: RuleDocument | undefined;
  readonly faults: readonly RuleFault[];
}

export class KvRules {
  /** How often a document was taken over, and how often one was refused. */
  readonly counts = { loads: 0, refusals: 0 };
  readonly #options: Required<KvRulesOptions>;
  readonly #bucket: KvBucket;
  readonly #subscription: { stop(): Promise<void> };
  readonly #timer: NodeJS.Timeout;
  #kept: ReadonlyMap<string, Kept> = new Map();
  #awaySince: string | undefined;
  #listedMs = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #isStopped = false;

  /** Starts at once; the first list may come later, see `sync`. */
  constructor(options: KvRulesOptions) {
    this.#options = { pollMs: 10_000, ...options };
    this.#bucket = createClient({ nats: options.bus, retries: 1 }).kv.bucket(RULES_BUCKET);
    this.#subscription = options.bus.subscribe(changesSubject(RULES_BUCKET), () => void this.sync());
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref();
    void this.sync();
  }

  /** Undefined: what the store has is known, as of the last poll. Else why not. */
  notReady(): string | undefined {
    return this.#awaySince;
  }

  /** What is wrong with documents in the store. */
  faults(): RuleFault[] {
    return [...this.#kept.values()].flatMap(({ faults }) => faults);
  }

  /** What the store had at the last look, by domain. */
  list(): StoredRules[] {
    return [...this.#kept]
      .map(([domain, kept]) => storedOf(domain, kept))
      .sort((a, b) => (a.domain < b.domain ? -1 : 1));
  }

  get(domain: string): StoredRules | undefined {
    const kept = this.#kept.get(domain);
    return kept && storedOf(domain, kept);
  }

  /**
   * Stores a document, for all replicas. It is in force here when this resolves, elsewhere within a second.
   *
   * @param ifRevision - Only if the store's document still has this revision; 0: only if there is none.
   * @throws RulesRefused when it is at fault, or is of another domain.
   * @throws Problem of the store: `precondition_failed`, `value_too_large`, `unavailable`, `outcome_unknown` …
   */
  async put(domain: string, text: string, ifRevision?: number): Promise<StoredRules> {
    const document = await parsed(domain, text);
    const condition = ifRevision === undefined ? {} : ifRevision === 0 ? { ifAbsent: true } : { ifRevision };
    // A repeat of a put whose answer was lost is told what the first one was.
    const options = { ...condition, contentType: 'application/yaml', idempotencyKey: randomUUID() };
    const { revision } = await this.#bucket.put(domain, text, options);
    await this.sync();
    return { domain, revision, text, document, faults: [] };
  }

  /** @returns False when there was none. @throws Problem as `put`. */
  async remove(domain: string, ifRevision?: number): Promise<boolean> {
    const condition = ifRevision === undefined ? {} : { ifRevision };
    try {
      const wasThere = await this.#bucket.delete(domain, { ...condition, idempotencyKey: randomUUID() });
      await this.sync();
      return wasThere;
    } catch (error) {
      if (error instanceof Problem && error.code === 'bucket_not_found') return false;
      throw error;
    }
  }

  /** Takes over what the store has now. Never rejects: a store that is away is told by `notReady`. */
  sync(): Promise<void> {
    if (this.#running === undefined) {
      this.#running = this.#syncOnce().finally(() => {
        this.#running = undefined;
      });
      return this.#running;
    }
    // The list under way may have been made before what the caller has heard of.
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      return this.sync();
    });
    return this.#next;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    await this.#subscription.stop();
    await this.#running;
  }

  #tick(): void {
    const busReason = this.#options.bus.notReady();
    // Notices may be missed from here on, so that it counts as away until the next list.
    if (busReason !== undefined) this.#isAway(new Error(busReason));
    else if (this.#awaySince !== undefined || performance.now() - this.#listedMs >= this.#options.pollMs)
      void this.sync();
  }

  async #syncOnce(): Promise<void> {
    if (this.#isStopped) return;
    try {
      const revisions = await this.#revisions();
      const kept = new Map<string, Kept>();
      for (const [domain, revision] of revisions) {
        const before = this.#kept.get(domain);
        const now = before?.revision === revision ? before : await this.#fetched(domain, revision);
        if (now !== undefined) kept.set(domain, now);
      }
      if (!this.#isStopped) this.#takeOver(kept);
      this.#isBack();
    } catch (error) {
      this.#isAway(error);
    }
  }

  /** Of all documents that the store has. No bucket: none has been put yet. */
  async #revisions(): Promise<Map<string, number>> {
    const revisions = new Map<string, number>();
    try {
      const listing = this.#bucket.list({ limit: 1_000, timeoutMs: UPKEEP_MS_MAX });
      for await (const { entries } of listing) for (const { key, revision } of entries) revisions.set(key, revision);
    } catch (error) {
      if (!(error instanceof Problem && error.code === 'bucket_not_found')) throw error;
    }
    this.#listedMs = performance.now();
    return revisions;
  }

  /** Undefined when it was deleted since it was listed. @throws Problem when the store is away. */
  async #fetched(domain: string, listed: number): Promise<Kept | undefined> {
    const document = this.#kept.get(domain)?.document;
    let stored = { revision: listed, text: '' };
    try {
      const entry = await this.#bucket.get(domain, { timeoutMs: UPKEEP_MS_MAX });
      if (entry === undefined) return undefined;
      stored = { revision: entry.revision, text: entry.text() };
      return { ...stored, isRefused: false, document: await parsed(domain, stored.text), faults: [] };
    } catch (error) {
      return { ...stored, isRefused: true, document, faults: faultsIn(error, domain) };
    }
  }

  #takeOver(kept: ReadonlyMap<string, Kept>): void {
    const before = this.#kept;
    this.#kept = kept;
    const changed = [...kept].filter(([domain, { revision }]) => before.get(domain)?.revision !== revision);
    const gone = [...before.keys()].filter((domain) => !kept.has(domain));
    if (changed.length === 0 && gone.length === 0) return;
    const documents = [...kept.values()].map(({ document }) => document).filter((document) => document !== undefined);
    this.#options.rules.replace(KV_SOURCE, documents);
    for (const [domain, each] of changed) this.#tell(domain, each);
    for (const domain of gone) this.#options.log.info('rules are gone from the store', { domain });
  }

  #tell(domain: string, { revision, document, isRefused, faults }: Kept): void {
    const { log } = this.#options;
    if (!isRefused) {
      this.counts.loads++;
      log.info('rules loaded', { source: sourceOf(domain), domain, revision, rules: document!.rules.length });
      return;
    }
    this.counts.refusals++;
    const stays = document === undefined ? 'it has no rules in force' : 'the earlier ones stay in force';
    log.error(`rules in the store are refused; ${stays}`, {
      domain,
      revision,
      faults: faults.slice(0, 10).map(String),
    });
  }

  #isAway(error: unknown): void {
    const reason = (error as Error).message;
    const { log } = this.#options;
    if (this.#awaySince === undefined)
      log.warn('rules in the store cannot be read now; what is loaded stays in force', { reason });
    this.#awaySince = `rules in the store cannot be read: ${reason}`;
  }

  #isBack(): void {
    if (this.#awaySince !== undefined) this.#options.log.info('rules in the store can be read again');
    this.#awaySince = undefined;
  }
}

/**
 * What is wrong with one document; it must not keep the others from being loaded.
 *
 * @throws The error itself, when it says nothing of the document: the store is away.
 */
function faultsIn(error: unknown, domain: string): readonly RuleFault[] {
  if (error instanceof RulesRefused) return error.faults;
  // Larger than what the bus carries, for example.
  const isOfDocument = error instanceof Problem && error.kind.retryable === 'no';
  if (!isOfDocument) throw error;
  return [
    new RuleFault({
      source: sourceOf(domain),
      line: 1,
      column: 1,
      path: '',
      message: `cannot be fetched: ${error.message}`,
    }),
  ];
}

const sourceOf = (domain: string): string => `kv:${domain}`;

function storedOf(domain: string, { revision, text, isRefused, document, faults }: Kept): StoredRules {
  return { domain, revision, text, document: isRefused ? undefined : document, faults };
}

/** @throws RulesRefused also when the document is of another domain than its key says. */
async function parsed(domain: string, text: string): Promise<RuleDocument> {
  const source = sourceOf(domain);
  const document = await parseRulesAside(text, source);
  if (document.domain === domain) return document;
  const message = `the document is of domain ${document.domain}; it stands under ${domain}`;
  throw new RulesRefused([new RuleFault({ source, line: 1, column: 1, path: '/domain', message })]);
}
