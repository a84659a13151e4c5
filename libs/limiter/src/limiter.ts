/** Rate limits decided in process. README.md says what each algorithm promises and what it costs. */
export type { Outturn } from './adaptive-limit.ts';
export type { Algorithm, Cells } from './algorithm.ts';
export type { Charge, Decision, Grant, Mode, Outcome, Penalty } from './charge.ts';
export { type LimiterClock, neverBack, processClock } from './clock.ts';
export type { Hold, HoldAsk, HoldRecord } from './hold.ts';
export { Holds, HoldsFull, type HoldsOptions } from './holds.ts';
export {
  LeaseHolder,
  type LeaseHolderOptions,
  type LeaseReturn,
  type LeaseTerms,
  type LeaseVerdict,
} from './lease-holder.ts';
export { Ledger } from './ledger.ts';
export { type Periods, periodsOf } from './periods.ts';
export {
  ALGORITHM_NAMES,
  type AlgorithmName,
  PERIODS,
  type Period,
  type Policy,
  type PolicySpec,
  policyOf,
  type RateAlgorithm,
  UNITS_MAX,
  WINDOW_MS_MAX,
} from './policy.ts';
export { Limiter, type LimiterOptions } from './single-limit.ts';
export { stateKey } from './state-key.ts';
export type { StateRecord } from './state-record.ts';
export { LedgerFull, type LedgerOptions } from './states.ts';
