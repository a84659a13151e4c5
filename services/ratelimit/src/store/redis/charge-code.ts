/** Charges as the scripts read them: the Redis key of a state, and the numbers of a policy as text. */
import type { Charge, Periods, Policy, RateAlgorithm } from '@plinth/limiter';

/** First letters as `state-lua.ts` knows them. */
const KINDS: Readonly<Record<RateAlgorithm, string>> = {
  gcra: 'g',
  leaky: 'l',
  strict: 't',
  sliding: 's',
  fixed: 'f',
  calendar: 'c',
};

interface PolicyCode {
  /** The kind, and what its windows are: what a state under another shape counted means nothing under this one. */
  readonly shape: string;
  readonly capacity: string;
  readonly widthUs: string;
}

interface Bounds {
  readonly startMs: number;
  readonly endMs: number;
  readonly afterMs: number;
}

export interface ChargeCoderOptions {
  /** Milliseconds since 1970, as this process believes. */
  now: () => number;
  /** What all keys begin with. Default `rl`. */
  prefix?: string | undefined;
}

export class ChargeCoder {
  readonly #options: ChargeCoderOptions;
  readonly #prefix: string;
  readonly #codes = new WeakMap<Policy, PolicyCode>();
  readonly #bounds = new WeakMap<Periods, Bounds>();
  /** The server's clock less ours, as far as anybody had to know. */
  #aheadMs = 0;

  constructor(options: ChargeCoderOptions) {
    this.#options = options;
    this.#prefix = options.prefix ?? 'rl';
  }

  /** All keys of one state share a hash tag, so they live in one slot of a cluster. */
  keyOf({ key }: Charge): string {
    return this.#key(key, '');
  }

  placesKeyOf({ key }: Pick<Charge, 'key'>): string {
    return this.#key(key, ':h');
  }

  claimKeyOf({ key }: Charge, id: string): string {
    return this.#key(key, `:i:${id}`);
  }

  /** Whether `paced-script.ts` can decide it. */
  isPaced({ policy, penalty }: Charge): boolean {
    return policy.name === 'gcra' && penalty === undefined;
  }

  pushPaced(args: string[], { policy, cost }: Charge): void {
    const { capacity, widthUs } = this.#codeOf(policy);
    args.push(capacity, widthUs, String(cost));
  }

  push(args: string[], { policy, cost, isShadow, penalty }: Charge): void {
    const { shape, capacity, widthUs } = this.#codeOf(policy);
    args.push(shape, capacity, widthUs, String(cost), String((isShadow ? 1 : 0) + (penalty === undefined ? 0 : 2)));
    if (policy.periods !== undefined) {
      const { startMs, endMs, afterMs } = this.#boundsOf(policy.periods);
      args.push(String(startMs), String(endMs), String(afterMs));
    }
    if (penalty !== undefined) {
      args.push(String(penalty.denials), String(penalty.withinMs * 1_000), String(penalty.blockMs * 1_000));
    }
  }

  /** The server's day is not the one that was sent: from now on its clock counts. */
  learnTime(serverMs: number): void {
    this.#aheadMs = serverMs - this.#options.now();
  }

  #key(key: string, suffix: string): string {
    // A brace in the key would end the hash tag early, an empty one would be none.
    const tag = /[}%]|^$/.test(key) ? key.replaceAll('%', '%25').replaceAll('}', '%7D') || '%' : key;
    return `${this.#prefix}:{${tag}}${suffix}`;
  }

  #codeOf(policy: Policy): PolicyCode {
    const known = this.#codes.get(policy);
    if (known !== undefined) return known;
    const { name, spec, capacity } = policy;
    const kind = KINDS[name as RateAlgorithm];
    const isPaced = name === 'gcra' || name === 'leaky';
    const isBySteps = isPaced || name === 'strict';
    const widthUs = String(isBySteps ? policy.stepUs : policy.windowUs);
    const window = name === 'calendar' ? `${spec.period},${spec.timeZone ?? 'UTC'}` : String(spec.windowMs);
    const code = { shape: isPaced ? kind : `${kind}${window}`, capacity: String(capacity), widthUs };
    this.#codes.set(policy, code);
    return code;
  }

  /** The present period and the one after it: the server picks, and says so when it is neither. */
  #boundsOf(periods: Periods): Bounds {
    const nowMs = this.#options.now() + this.#aheadMs;
    const known = this.#bounds.get(periods);
    if (known !== undefined && nowMs >= known.startMs && nowMs < known.endMs) return known;
    const startMs = periods.startAtMs(nowMs);
    const endMs = periods.endAfterMs(startMs);
    const bounds = { startMs, endMs, afterMs: periods.endAfterMs(endMs) };
    this.#bounds.set(periods, bounds);
    return bounds;
  }
}
