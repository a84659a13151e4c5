/** The books of the fault tests themselves: they find what is lost and what was done twice. */
import { expect, test } from '@jest/globals';
import { tempDir } from '@plinth/testkit';
import { countExecutions, LedgerWriter, readLedger } from './ledger.ts';

test('what several writers wrote is read back, and lost and doubled jobs are counted', () => {
  const dir = tempDir('ledger');
  const [one, other] = [new LedgerWriter(dir), new LedgerWriter(dir)];
  const entry = { attempt: 1, token: '7', startedMs: 1_000, pid: process.pid };
  for (const number of [0, 1, 3]) one.write({ ...entry, number });
  other.write({ ...entry, number: 3, attempt: 2, token: '18446744073709551616' });
  one.close();
  other.close();
  const entries = readLedger(dir);
  expect(entries.map(({ number }) => number).sort()).toEqual([0, 1, 3, 3]);
  expect(entries.find(({ attempt }) => attempt === 2)).toMatchObject({ token: '18446744073709551616', number: 3 });
  expect(countExecutions(entries, 5)).toEqual({ lost: [2, 4], duplicates: 1 });
  expect(countExecutions([], 1)).toEqual({ lost: [0], duplicates: 0 });
});
