import { expect, test } from '@jest/globals';
import { parseRedisCsv } from './redis-report.ts';

test('the figures are found by the names of their columns', () => {
  const output =
    '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"\n' +
    '"SET","4950.50","9.1","0.2","8.703","14.1","21.503","30.2"\n';
  expect(parseRedisCsv(output)).toEqual({ perSecond: 4950.5, p50Ms: 8.703, p99Ms: 21.503 });
});

test('a run that ended with an error is void', () => {
  expect(() => parseRedisCsv('Error from server: OOM command not allowed\n')).toThrow('run void: Error from server');
});
