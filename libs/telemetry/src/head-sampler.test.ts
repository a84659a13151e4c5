import { expect, test } from '@jest/globals';
import type { SpanContext } from '@opentelemetry/api';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { TraceIdRatioBasedSampler } from '@opentelemetry/sdk-trace';
import { admits, holdsRatio, samplingRule } from './head-sampler.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const parent = (traceFlags: number): SpanContext => ({ traceId: TRACE_ID, spanId: '00f067aa0ba902b7', traceFlags });
const decide = (name: string, argument: string, from: SpanContext | undefined, chance: number) =>
  admits(samplingRule({ OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: argument }), from, () => chance);

test.each([
  ['always_on', undefined, true],
  ['always_on', parent(0), true],
  ['always_off', undefined, false],
  ['always_off', parent(1), false],
  ['parentbased_always_on', undefined, true],
  ['parentbased_always_on', parent(0), false],
  ['parentbased_always_off', undefined, false],
  ['parentbased_always_off', parent(1), true],
  ['parentbased_traceidratio', parent(1), true],
  ['parentbased_traceidratio', parent(0), false],
])('%s with parent %j: %s', (name, from, expected) => {
  expect(decide(name, '0.5', from, 0.4999)).toBe(expected);
});

test('a ratio keeps a root on one side of the edge and not on the other', () => {
  expect(decide('parentbased_traceidratio', '0.25', undefined, 0.2499)).toBe(true);
  expect(decide('parentbased_traceidratio', '0.25', undefined, 0.25)).toBe(false);
  expect(decide('traceidratio', '0', undefined, 0)).toBe(false);
  expect(decide('traceidratio', '1', undefined, 0.999_999)).toBe(true);
});

test('traceidratio keeps the traces that the SDK of OpenTelemetry keeps', () => {
  for (const ratio of [0, 0.01, 0.25, 0.5, 0.99, 1]) {
    const theirs = new TraceIdRatioBasedSampler(ratio);
    for (let at = 1; at < 500; at++) {
      const traceId = ((BigInt(at) * 0x9e37_79b9_7f4a_7c15_f39c_0c7f_1b87_3593n) % 2n ** 128n)
        .toString(16)
        .padStart(32, '0');
      expect(holdsRatio(traceId, ratio)).toBe(theirs.shouldSample(ROOT_CONTEXT, traceId).decision === 2);
    }
  }
});

test('no setting means: follow the parent, else keep all', () => {
  expect(samplingRule({})).toEqual({ followsParent: true, ratio: 1 });
});

test('a typo in a setting is named, with what was meant', () => {
  expect(() => samplingRule({ OTEL_TRACES_SAMPLER: 'alway_off' })).toThrow(/did you mean "always_off"/);
  expect(() => decide('traceidratio', '10%', undefined, 0)).toThrow(/from 0 to 1/);
});
