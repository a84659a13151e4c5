/** Ids that may be used once. */
interface Claim {
  readonly slot: number;
  readonly untilUs: number;
}

/** A claim on its way to another process. */
export type ClaimRecord = readonly [id: string, slot: number, leftMs: number];

export class ClaimBook {
  readonly #nowUs: () => number;
  readonly #claimsMax: number;
  readonly #claims = new Map<string, Claim>();

  constructor({ nowUs, claimsMax = 1_000_000 }: { nowUs: () => number; claimsMax?: number | undefined }) {
    this.#nowUs = nowUs;
    this.#claimsMax = claimsMax;
  }

  get size(): number {
    return this.#claims.size;
  }

  /** True for the first who claims an id within so many milliseconds; undefined when there is no room to note it. */
  claim(id: string, slot: number, forMs: number): boolean | undefined {
    const nowUs = this.#nowUs();
    const known = this.#claims.get(id);
    if (known !== undefined && known.untilUs > nowUs) return false;
    if (known === undefined && this.#claims.size >= this.#claimsMax) this.sweep();
    if (this.#claims.size >= this.#claimsMax) return undefined;
    this.#claims.set(id, { slot, untilUs: nowUs + forMs * 1_000 });
    return true;
  }

  /** Forgets claims whose time is over. Cost: a look at each. */
  sweep(): void {
    const nowUs = this.#nowUs();
    for (const [id, { untilUs }] of this.#claims) if (untilUs <= nowUs) this.#claims.delete(id);
  }

  *export(filter: (slot: number) => boolean): Generator<ClaimRecord> {
    const nowUs = this.#nowUs();
    for (const [id, { slot, untilUs }] of this.#claims) {
      if (untilUs > nowUs && filter(slot)) yield [id, slot, (untilUs - nowUs) / 1_000];
    }
  }

  import(records: Iterable<ClaimRecord>): void {
    for (const [id, slot, leftMs] of records) this.claim(id, slot, leftMs);
  }

  drop(filter: (slot: number) => boolean): void {
    for (const [id, { slot }] of this.#claims) if (filter(slot)) this.#claims.delete(id);
  }
}
