import { describe, expect, test } from '@jest/globals';
import { periodsOf } from './periods.ts';
import { PERIODS } from './policy.ts';

const HOUR_MS = 3_600_000;
const at = (text: string): number => Date.parse(text);
const iso = (ms: number): string => new Date(ms).toISOString();

/** The day that a moment lies in: its beginning, and its hours. */
function dayOf(timeZone: string, moment: string): [string, number] {
  const periods = periodsOf('day', timeZone);
  const startMs = periods.startAtMs(at(moment));
  return [iso(startMs), (periods.endAfterMs(startMs) - startMs) / HOUR_MS];
}

describe('days', () => {
  test.each([
    ['Europe/Berlin', '2024-03-31T12:00Z', '2024-03-30T23:00:00.000Z', 23, 'an hour is skipped'],
    ['Europe/Berlin', '2024-10-27T12:00Z', '2024-10-26T22:00:00.000Z', 25, 'an hour comes twice'],
    ['America/Sao_Paulo', '2018-11-04T12:00Z', '2018-11-04T03:00:00.000Z', 23, 'midnight is skipped'],
    ['America/Sao_Paulo', '2019-02-16T12:00Z', '2019-02-16T02:00:00.000Z', 25, 'the hour before midnight comes twice'],
    ['America/Havana', '2024-11-03T12:00Z', '2024-11-03T04:00:00.000Z', 25, 'midnight comes twice'],
    ['Pacific/Apia', '2011-12-30T09:59Z', '2011-12-29T10:00:00.000Z', 24, 'the day before one that there was not'],
    ['Pacific/Apia', '2011-12-30T10:00Z', '2011-12-30T10:00:00.000Z', 24, 'the day after it'],
    ['Australia/Lord_Howe', '2024-04-07T00:00Z', '2024-04-06T13:00:00.000Z', 24.5, 'half an hour comes twice'],
    ['Australia/Lord_Howe', '2024-10-06T00:00Z', '2024-10-05T13:30:00.000Z', 23.5, 'half an hour is skipped'],
    ['Asia/Kathmandu', '2024-06-01T18:14:59.999Z', '2024-05-31T18:15:00.000Z', 24, 'quarters of an hour from UTC'],
    ['America/St_Johns', '2005-10-30T02:45Z', '2005-10-30T02:30:00.000Z', 25, 'yesterday comes back for an hour'],
    ['UTC', '2016-12-31T23:59:59.999Z', '2016-12-31T00:00:00.000Z', 24, 'a leap second'],
  ])('%s at %s: began %s and has %d hours (%s)', (timeZone, moment, start, hours) => {
    expect(dayOf(timeZone, moment)).toEqual([start, hours]);
  });
});

describe('weeks, months and years', () => {
  test.each([
    ['week', '2024-02-29T12:00Z', '2024-02-26', '2024-03-04'],
    ['week', '2024-02-26T00:00Z', '2024-02-26', '2024-03-04'],
    ['week', '2024-03-03T23:59:59.999Z', '2024-02-26', '2024-03-04'],
    ['week', '1970-01-01T00:00Z', '1969-12-29', '1970-01-05'],
    ['month', '2024-02-29T23:59:59.999Z', '2024-02-01', '2024-03-01'],
    ['month', '2023-02-28T12:00Z', '2023-02-01', '2023-03-01'],
    ['month', '2024-12-31T12:00Z', '2024-12-01', '2025-01-01'],
    ['year', '2024-02-29T12:00Z', '2024-01-01', '2025-01-01'],
  ] as const)('the %s of %s goes from %s to %s', (period, moment, start, end) => {
    const periods = periodsOf(period, 'UTC');
    const startMs = periods.startAtMs(at(moment));
    expect([iso(startMs), iso(periods.endAfterMs(startMs))]).toEqual([at(start), at(end)].map(iso));
  });
});

test('a zone that is not known is refused by name', () => {
  const make = () => periodsOf('day', 'Mars/Olympus');
  expect(make).toThrow(RangeError);
  expect(make).toThrow('timeZone is "Mars/Olympus"; it must be a time zone of the IANA database');
});

const ZONES = [
  'UTC',
  'Europe/Berlin',
  'Europe/Dublin',
  'America/New_York',
  'America/Sao_Paulo',
  'America/Havana',
  'America/St_Johns',
  'Pacific/Apia',
  'Pacific/Kiritimati',
  'Australia/Lord_Howe',
  'Asia/Kathmandu',
  'Asia/Pyongyang',
  'Africa/Casablanca',
  'Antarctica/Casey',
  'Antarctica/Troll',
  'America/Caracas',
];

describe.each(ZONES)('%s', (timeZone) => {
  test('periods follow each other without a gap, none is empty or too long, and each begins with its first day', () => {
    const date = new Intl.DateTimeFormat('en-CA', { timeZone, dateStyle: 'short' });
    for (const period of PERIODS) {
      const periods = periodsOf(period, timeZone);
      let startMs = periods.startAtMs(at('2009-01-01T00:00Z'));
      for (let count = 0; startMs < at('2020-01-01T00:00Z'); count++) {
        const endMs = periods.endAfterMs(startMs);
        expect(endMs - startMs).toBeGreaterThan(20 * HOUR_MS);
        expect(endMs - startMs).toBeLessThanOrEqual(periods.longestMs);
        expect([periods.startAtMs(startMs), periods.startAtMs(endMs - 1), periods.startAtMs(endMs)]).toEqual([
          startMs,
          startMs,
          endMs,
        ]);
        if (period === 'day') expect(date.format(endMs)).not.toBe(date.format(startMs));
        // Two of eleven days, and those around a change of the clock that it meets.
        const isRegular = period === 'day' && endMs - startMs === 24 * HOUR_MS;
        startMs = isRegular && count % 2 === 0 ? periods.startAtMs(endMs + 9 * 24 * HOUR_MS) : endMs;
      }
    }
  });
});
