import { expect, test } from '@jest/globals';
import { parseWrkOutput } from './wrk-report.ts';

const output = (errors = '"connect":0,"read":0,"write":0,"status":0,"timeout":0', requests = 3_000) =>
  `Running 2s test @ http://127.0.0.1:1\n  3000 requests in 2.00s, 1.00MB read\nplinth-bench {"requests":${requests},` +
  `"durationUs":2000000,"bytes":600000,"p50Us":640,"p99Us":12500,"errors":{${errors}}}\n`;

test('a run is read in requests a second, milliseconds and bytes an answer', () => {
  expect(parseWrkOutput(output())).toEqual({
    requests: 3_000,
    perSecond: 1_500,
    p50Ms: 0.64,
    p99Ms: 12.5,
    answerBytesMean: 200,
  });
});

test('one failed request makes the run void and is named', () => {
  const failed = output('"connect":0,"read":0,"write":0,"status":7,"timeout":1');
  expect(() => parseWrkOutput(failed)).toThrow('run void: of 3000 answers and failures, 7 × status, 1 × timeout');
});

test('a run without an answer is void', () => {
  expect(() => parseWrkOutput(output(undefined, 0))).toThrow('not one answer');
});

test('a run that never ended tells the last words of wrk', () => {
  expect(() => parseWrkOutput('unable to connect to 127.0.0.1:1 Connection refused\n')).toThrow('unable to connect');
});
