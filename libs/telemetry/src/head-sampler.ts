/**
 * Head sampling by the standard variables `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
 *
 * The rule is asked twice. The gate asks it before a span is made, so that a rejected request costs nothing; the SDK
 * asks it through `sdkSampler` for spans that others make with the API. A span that passed the gate carries `DECIDED`
 * in its context, or a tenth of a tenth would be traced.
 */
import {
  type Context,
  createContextKey,
  SamplingDecision,
  type SpanContext,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { nearestName } from '@plinth/problem';

export const DECIDED = createContextKey('plinth sampling decided');

export interface SamplingRule {
  /** Whether the caller's decision is followed where there is one. */
  followsParent: boolean;
  /** Part of the other traces that is kept, 0 to 1. */
  ratio: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The samplers of the specification; undefined stands for the ratio in the argument. */
const SAMPLERS: Readonly<Record<string, { followsParent: boolean; ratio?: number }>> = {
  always_on: { followsParent: false, ratio: 1 },
  always_off: { followsParent: false, ratio: 0 },
  traceidratio: { followsParent: false },
  parentbased_always_on: { followsParent: true, ratio: 1 },
  parentbased_always_off: { followsParent: true, ratio: 0 },
  parentbased_traceidratio: { followsParent: true },
};

/** The rule that the environment asks for; `parentbased_always_on` when it asks for none. @throws Error on a typo. */
export function samplingRule(env: Environment): SamplingRule {
  const name = env.OTEL_TRACES_SAMPLER || 'parentbased_always_on';
  const sampler = Object.hasOwn(SAMPLERS, name) ? SAMPLERS[name] : undefined;
  if (sampler === undefined) {
    const nearest = nearestName(name, Object.keys(SAMPLERS)) ?? 'parentbased_traceidratio';
    throw new Error(`OTEL_TRACES_SAMPLER is "${name}", which is no sampler; did you mean "${nearest}"?`);
  }
  return { followsParent: sampler.followsParent, ratio: sampler.ratio ?? ratioOf(env.OTEL_TRACES_SAMPLER_ARG) };
}

/**
 * Decides by the rule.
 *
 * @param parent - The span the request came from, if any. Without one there is no trace id yet, and chance decides.
 */
export function admits(rule: SamplingRule, parent: SpanContext | undefined, random: () => number): boolean {
  if (parent === undefined) return random() < rule.ratio;
  return rule.followsParent ? (parent.traceFlags & TraceFlags.SAMPLED) !== 0 : holdsRatio(parent.traceId, rule.ratio);
}

/** The rule as the SDK wants it. */
export function sdkSampler(rule: SamplingRule) {
  return {
    shouldSample(context: Context, traceId: string) {
      const parent = trace.getSpanContext(context);
      const sampled =
        context.getValue(DECIDED) === true ||
        (parent !== undefined && rule.followsParent
          ? admits(rule, parent, Math.random)
          : holdsRatio(traceId, rule.ratio));
      return { decision: sampled ? SamplingDecision.RECORD_AND_SAMPLED : SamplingDecision.NOT_RECORD };
    },
    toString: () => `PlinthHead{followsParent=${rule.followsParent},ratio=${rule.ratio}}`,
  };
}

/**
 * Whether a trace id is among the kept part: the same arithmetic as `TraceIdRatioBasedSampler` of the SDK, so that
 * other Node services with the same ratio keep the same traces.
 */
export function holdsRatio(traceId: string, ratio: number): boolean {
  if (ratio >= 1) return true;
  let folded = 0;
  for (let at = 0; at < 32; at += 8) folded = (folded ^ Number.parseInt(traceId.slice(at, at + 8), 16)) >>> 0;
  return folded < Math.floor(ratio * 0xffff_ffff);
}

function ratioOf(text: string | undefined): number {
  if (text === undefined || text === '') return 1;
  const ratio = Number(text);
  if (ratio >= 0 && ratio <= 1) return ratio;
  throw new Error(`OTEL_TRACES_SAMPLER_ARG is "${text}"; it must be a number from 0 to 1`);
}
