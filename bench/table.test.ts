import { expect, test } from '@jest/globals';
import { figure, markdownTable } from './table.ts';

test('columns are as wide as their widest cell and lean to their side', () => {
  expect(
    markdownTable(
      [{ head: 'who' }, { head: 'ops/s', align: 'right' }],
      [
        ['plinth', '1'],
        ['etcd', '12,345'],
      ],
    ),
  ).toBe(['| who    |  ops/s |', '| ------ | -----: |', '| plinth |      1 |', '| etcd   | 12,345 |'].join('\n'));
});

test('figures keep three digits, and a missing one is a dash', () => {
  expect([0.12345, 999.6, 1_000, 12_345.6, undefined].map(figure)).toEqual(['0.123', '1000', '1,000', '12,346', '–']);
});
