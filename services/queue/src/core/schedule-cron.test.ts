/** Calendars: what is due when, also where the clock is set forward and back. */
import { describe, expect, test } from '@jest/globals';
import { Problem } from '@plinth/problem';
import { seededRandom } from '@plinth/testkit';
import { CronExpressionParser } from 'cron-parser';
import { CronPlan } from './schedule-cron.ts';

const MINUTE_MS = 60_000;

/** The next times as `03-31T01:30`, in UTC. */
function next(cron: string, timeZone: string, from: string, count: number): string[] {
  const plan = new CronPlan(cron, timeZone);
  const times: string[] = [];
  for (let atMs = plan.after(Date.parse(from)); atMs !== undefined && times.length < count; atMs = plan.after(atMs)) {
    times.push(new Date(atMs).toISOString().slice(5, 16));
  }
  return times;
}

describe('when the clock is set forward', () => {
  // Berlin: 2030-03-31, 02:00 is 03:00 (01:00 UTC). New York: 2030-03-10, 02:00 is 03:00 (07:00 UTC).
  // Lord Howe: 2030-10-06, 02:00 is 02:30 (on the 5th at 15:30 UTC).
  test.each([
    // A wall time that does not exist comes as much later as the clock jumps.
    ['30 2 * * *', 'Europe/Berlin', '2030-03-30T00:00Z', ['03-30T01:30', '03-31T01:30', '04-01T00:30']],
    ['0 2 * * *', 'Europe/Berlin', '2030-03-30T00:00Z', ['03-30T01:00', '03-31T01:00', '04-01T00:00']],
    ['30 2 * * *', 'America/New_York', '2030-03-09T00:00Z', ['03-09T07:30', '03-10T07:30', '03-11T06:30']],
    ['15 2 * * *', 'Australia/Lord_Howe', '2030-10-04T00:00Z', ['10-04T15:45', '10-05T15:45', '10-06T15:15']],
    // Its neighbours are where they always are.
    ['59 1 * * *', 'Europe/Berlin', '2030-03-31T00:00Z', ['03-31T00:59', '03-31T23:59']],
    ['0 3 * * *', 'Europe/Berlin', '2030-03-31T00:00Z', ['03-31T01:00', '04-01T01:00']],
    // Two that fall together are one.
    ['0 2,3 * * *', 'Europe/Berlin', '2030-03-31T00:00Z', ['03-31T01:00', '04-01T00:00', '04-01T01:00']],
    // In order, also when a moved one overtakes another.
    ['45 2,3 * * *', 'Europe/Berlin', '2030-03-31T00:00Z', ['03-31T01:45', '04-01T00:45']],
    ['0,30 2,3 * * *', 'Europe/Berlin', '2030-03-31T00:00Z', ['03-31T01:00', '03-31T01:30', '04-01T00:00']],
    ['*/30 2 * * *', 'Europe/Berlin', '2030-03-31T00:00Z', ['03-31T01:00', '03-31T01:30', '04-01T00:00']],
    // Each hour is each real hour.
    ['0 * * * *', 'Europe/Berlin', '2030-03-30T23:30Z', ['03-31T00:00', '03-31T01:00', '03-31T02:00']],
    ['*/30 * * * *', 'Europe/Berlin', '2030-03-31T00:00Z', ['03-31T00:30', '03-31T01:00', '03-31T01:30']],
    ['30 * * * *', 'Australia/Lord_Howe', '2030-10-05T14:00Z', ['10-05T15:00', '10-05T15:30', '10-05T16:30']],
    ['*/15 * * * *', 'Australia/Lord_Howe', '2030-10-05T15:10Z', ['10-05T15:15', '10-05T15:30', '10-05T15:45']],
    // A whole day that does not exist: Samoa had no 30 December 2011.
    ['0 12 * * *', 'Pacific/Apia', '2011-12-29T00:00Z', ['12-29T22:00', '12-30T22:00', '12-31T22:00']],
    // At midnight: Beirut goes from 00:00 to 01:00 (2030-03-31; on the 30th at 22:00 UTC).
    ['0 0 * * *', 'Asia/Beirut', '2030-03-29T12:00Z', ['03-29T22:00', '03-30T22:00', '03-31T21:00']],
  ])('%s in %s after %s comes at %j', (cron, zone, from, times) => {
    expect(next(cron, zone, from, times.length)).toEqual(times);
  });
});

describe('when the clock is set back', () => {
  // Berlin: 2030-10-27, 03:00 is 02:00 (01:00 UTC). New York: 2030-11-03, 02:00 is 01:00 (06:00 UTC).
  // Lord Howe: 2030-04-07, 02:00 is 01:30 (on the 6th at 15:00 UTC).
  test.each([
    // A wall time that exists twice comes the first time only.
    ['30 2 * * *', 'Europe/Berlin', '2030-10-26T00:00Z', ['10-26T00:30', '10-27T00:30', '10-28T01:30']],
    ['30 1 * * *', 'America/New_York', '2030-11-02T00:00Z', ['11-02T05:30', '11-03T05:30', '11-04T06:30']],
    ['45 1 * * *', 'Australia/Lord_Howe', '2030-04-05T00:00Z', ['04-05T14:45', '04-06T14:45', '04-07T15:15']],
    ['0 2 * * *', 'Europe/Berlin', '2030-10-26T12:00Z', ['10-27T00:00', '10-28T01:00']],
    ['0 3 * * *', 'Europe/Berlin', '2030-10-26T12:00Z', ['10-27T02:00', '10-28T02:00']],
    ['*/30 1-3 * * *', 'Europe/Berlin', '2030-10-27T00:00Z', ['10-27T00:30', '10-27T02:00', '10-27T02:30']],
    // Each hour is each real hour: the repeated one too.
    ['30 * * * *', 'Europe/Berlin', '2030-10-26T23:00Z', ['10-26T23:30', '10-27T00:30', '10-27T01:30', '10-27T02:30']],
    ['0 * * * *', 'America/New_York', '2030-11-03T04:30Z', ['11-03T05:00', '11-03T06:00', '11-03T07:00']],
    ['*/15 * * * *', 'Australia/Lord_Howe', '2030-04-06T14:40Z', ['04-06T14:45', '04-06T15:00', '04-06T15:15']],
    // Where the wall shows half past twice.
    ['30 * * * *', 'Australia/Lord_Howe', '2030-04-06T14:00Z', ['04-06T14:30', '04-06T15:00', '04-06T16:00']],
    // 00:00 is 23:00 of the day before (Beirut 2030-10-27; on the 26th at 21:00 UTC).
    ['30 23 * * *', 'Asia/Beirut', '2030-10-25T12:00Z', ['10-25T20:30', '10-26T20:30', '10-27T21:30']],
  ])('%s in %s after %s comes at %j', (cron, zone, from, times) => {
    expect(next(cron, zone, from, times.length)).toEqual(times);
  });

  test.each([
    ['Europe/Berlin', '2030-03-31T00:00Z'],
    ['Europe/Berlin', '2030-10-26T23:00Z'],
    ['America/New_York', '2030-03-10T05:00Z'],
    ['America/New_York', '2030-11-03T04:00Z'],
    ['Australia/Lord_Howe', '2030-10-05T14:00Z'],
    ['Australia/Lord_Howe', '2030-04-06T13:00Z'],
    ['Asia/Beirut', '2030-03-30T20:00Z'],
    ['Asia/Beirut', '2030-10-26T19:00Z'],
  ])('or forward, each minute in %s from %s is each minute: none left out, none twice', (zone, from) => {
    const plan = new CronPlan('* * * * *', zone);
    let atMs = Date.parse(from);
    for (let n = 0; n < 240; n++) {
      const dueMs = plan.after(atMs)!;
      expect(new Date(dueMs).toISOString()).toBe(new Date(atMs + MINUTE_MS).toISOString());
      atMs = dueMs;
    }
  });
});

describe('a calendar', () => {
  test.each([
    ['0 0 29 2 *', '2030-01-01T00:00Z', ['2032-02-29', '2036-02-29', '2040-02-29']],
    ['0 0 29 2 *', '2096-03-01T00:00Z', ['2104-02-29']],
    ['0 0 31 * *', '2030-01-01T00:00Z', ['2030-01-31', '2030-03-31', '2030-05-31', '2030-07-31', '2030-08-31']],
    ['0 0 30 * *', '2030-01-31T00:00Z', ['2030-03-30']],
    ['0 0 L * *', '2031-12-01T00:00Z', ['2031-12-31', '2032-01-31', '2032-02-29', '2032-03-31', '2032-04-30']],
    ['0 0 1,15 * *', '2030-01-01T00:00Z', ['2030-01-15', '2030-02-01']],
    ['0 0 * * mon#1', '2030-01-01T00:00Z', ['2030-01-07', '2030-02-04']],
    ['0 0 * * 1#5', '2030-01-01T00:00Z', ['2030-04-29', '2030-07-29']],
    ['0 0 * * 5L', '2030-01-01T00:00Z', ['2030-01-25', '2030-02-22', '2030-03-29']],
    ['0 0 * * 7', '2030-01-01T00:00Z', ['2030-01-06', '2030-01-13']],
    ['0 0 13 * fri', '2030-09-01T00:00Z', ['2030-09-06', '2030-09-13', '2030-09-20']],
    ['0 0 * JAN-mar Sun', '2030-03-25T00:00Z', ['2030-03-31', '2031-01-05']],
    ['@monthly', '2030-01-01T00:00Z', ['2030-02-01']],
    ['@yearly', '2030-01-01T00:00Z', ['2031-01-01']],
    ['@weekly', '2030-01-01T00:00Z', ['2030-01-06']],
  ])('%s after %s comes on %j', (cron, from, days) => {
    const plan = new CronPlan(cron, 'UTC');
    let atMs = Date.parse(from);
    const found = days.map(() => {
      atMs = plan.after(atMs)!;
      return new Date(atMs).toISOString().slice(0, 10);
    });
    expect(found).toEqual(days);
  });

  test('with seconds comes at them, and is due after a moment, never at it', () => {
    const plan = new CronPlan('10,40 * * * * *', 'UTC');
    const from = Date.UTC(2030, 0, 1);
    expect(plan.after(from)).toBe(from + 10_000);
    expect(plan.after(from + 9_999)).toBe(from + 10_000);
    expect(plan.after(from + 10_000)).toBe(from + 40_000);
    expect(plan.after(from + 40_000)).toBe(from + 70_000);
  });

  test('in a zone without changes agrees with cron-parser, whatever is asked', () => {
    const random = seededRandom();
    const part = (least: number, most: number) => {
      const one = () => least + random.int(most - least + 1);
      const [low, high] = [one(), one()].sort((a, b) => a - b) as [number, number];
      return random.pick([
        '*',
        '*',
        `${low}`,
        `${low}-${high}`,
        `*/${1 + random.int(most)}`,
        `${low}${high > low ? `,${high}` : ''}`,
        `${low}/7`,
      ]);
    };
    for (let n = 0; n < 300; n++) {
      const cron = [part(0, 59), part(0, 59), part(0, 23), part(1, 28), part(1, 12), part(0, 6)].join(' ');
      const zone = random.pick(['UTC', 'Asia/Kolkata', 'Asia/Kathmandu', 'Asia/Tokyo', 'America/Phoenix']);
      const from = Date.UTC(2030, 0, 1) + random.int(365 * 86_400_000);
      const theirs = CronExpressionParser.parse(cron, { tz: zone, currentDate: new Date(from) }).take(5);
      const plan = new CronPlan(cron, zone);
      let atMs = from;
      const ours = theirs.map(() => {
        atMs = plan.after(atMs)!;
        return atMs;
      });
      expect({ cron, zone, from, times: ours }).toEqual({ cron, zone, from, times: theirs.map((at) => at.getTime()) });
    }
  });
});

describe('an expression that is none', () => {
  function problemOf(cron: string, timeZone = 'UTC'): Problem {
    try {
      new CronPlan(cron, timeZone);
    } catch (thrown) {
      if (thrown instanceof Problem) return thrown;
    }
    throw new Error(`no problem with ${cron}`);
  }

  test.each([
    ['61 * * * *', 1, 'minute: "61" cannot be read: got value 61 expected range 0-59'],
    ['* 24 * * *', 3, 'hour: "24" cannot be read: got value 24 expected range 0-23'],
    ['* * 0 * *', 5, 'day of month: "0" cannot be read: got value 0 expected range 1-31'],
    ['0 * * 1,32 * *', 9, 'day of month: "32" cannot be read: got value 32 expected range 1-31'],
    ['0  0 * 13 *', 8, 'month: "13" cannot be read: got value 13 expected range 1-12'],
    ['0 0 * * 8', 9, 'day of week: "8" cannot be read: got value 8 expected range 0-7'],
    ['60 * * * * *', 1, 'second: "60" cannot be read: got value 60 expected range 0-59'],
    ['* 1,,2 * * *', 5, 'hour: an element of the list is missing'],
    ['0 0 * jan-foo *', 7, 'month: "foo" is not known here'],
    ['0 0 * * jan', 9, 'day of week: "jan" is not known here'],
    ['0 0 mon * *', 5, 'day of month: "mon" is not known here'],
    ['H * * * *', 1, 'minute: "H" has an H, which is not known here'],
    ['*/0 * * * *', 1, 'minute: "*/0" cannot be read: cannot repeat at every 0 time.'],
    ['5-1 * * * *', 1, 'minute: "5-1" cannot be read: invalid range: 5-1, min(5) > max(1)'],
    ['0 0 30 2 *', 5, 'day of month: no month that is named has such a day'],
    ['0 9 * * 1,1', 9, 'day of week: 1 is named twice'],
    ['0 1-5,3 * * *', 3, 'hour: 3 is named twice'],
    ['0 0 1,1 * *', 5, 'day of month: 1 is named twice'],
    ['* * * *', 8, '4 fields; five are needed, or six with seconds first'],
    ['0 0 0 * * * *', 13, '7 fields; five are needed, or six with seconds first'],
    ['', 1, '0 fields; five are needed, or six with seconds first'],
    [' '.repeat(257), 1, '257 characters; the most is 256'],
  ])('%j is refused at character %d: %s', (cron, column, message) => {
    const problem = problemOf(cron);
    expect(problem.code).toBe('invalid_schedule');
    expect(problem.issues).toEqual([{ path: '/cron', message, line: 1, column }]);
  });

  test('an alias that is none is told those that are', () => {
    expect(problemOf('@often').message).toContain('there is no @often; there are @yearly, @annually, @monthly');
  });

  test.each([['Mars/Olympus'], ['+02:00'], ['UTC+2'], [''], ['Europe/Berlin '], ['../etc']])(
    '%j is no time zone',
    (timeZone) => {
      const { code, issues } = problemOf('* * * * *', timeZone);
      expect(code).toBe('invalid_schedule');
      expect(issues[0]).toMatchObject({ path: '/timeZone' });
    },
  );
});
