/**
 * Cron expressions in time zones. `cron-parser` reads the fields; when they are due is reckoned here, because its own
 * walk through a day leaves out times where daylight saving moves the clock by half an hour (Australia/Lord_Howe).
 *
 * When the clock is set forward or back:
 * - If every hour is named (`*`), what is due is due by each real minute: nothing is left out, nothing comes twice
 *   within a minute, and the repeated hour has its own.
 * - Otherwise the named wall times each come once a day. One that does not exist comes as much later as the clock is
 *   set forward (02:30 at 03:30), and one that exists twice comes the first time, as RFC 5545 reads such times.
 *
 * Where both days of the month and days of the week are named, either will do, as in Vixie's cron.
 */
import { Problem } from '@plinth/problem';
import { CronExpressionParser } from 'cron-parser';
import { Zone } from './schedule-zone.ts';

const DAY_MS = 86_400_000;
const DAY_S = 86_400;
/** 29 February misses 1900 and 2100, and a weekday of it comes each 28 years, or 40 across a missed one. */
const DAYS_MAX = 366 * 41;
const CRON_CHARS_MAX = 256;

const FIELDS = ['second', 'minute', 'hour', 'day of month', 'month', 'day of week'] as const;
const ALIASES: ReadonlySet<string> = new Set([
  '@yearly',
  '@annually',
  '@monthly',
  '@weekly',
  '@daily',
  '@hourly',
  '@minutely',
  '@secondly',
  '@weekdays',
  '@weekends',
]);
const MONTH_NAMES = /^(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)$/i;
const DAY_NAMES = /^(sun|mon|tue|wed|thu|fri|sat)$/i;

/** What a cron expression names, in wall time. */
interface CronFields {
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  /** Is a day of these? */
  holds(day: Date): boolean;
}

export class CronPlan {
  readonly #fields: CronFields;
  readonly #zone: Zone;
  readonly #isEveryHour: boolean;

  /**
   * @param timeZone - An IANA name.
   * @throws Problem `invalid_schedule` that says which field is at fault and where it stands.
   */
  constructor(cron: string, timeZone: string) {
    this.#zone = zoneOf(timeZone);
    this.#fields = fieldsOf(cron);
    this.#isEveryHour = this.#fields.hours.length === 24;
  }

  /**
   * The first time it is due after a moment; undefined: never (no such day comes).
   * Cost: about 25 µs, most of it to learn the offset of the zone.
   */
  after(afterMs: number): number | undefined {
    // A wall time that did not exist may have come to the day after its own.
    let dayMs = Math.floor((afterMs + this.#zone.offsetMs(afterMs)) / DAY_MS) * DAY_MS - DAY_MS;
    for (let days = 0; days < DAYS_MAX; days++, dayMs += DAY_MS) {
      if (!this.#fields.holds(new Date(dayMs))) continue;
      const dueMs = this.#firstOfDay(dayMs, afterMs);
      if (dueMs !== undefined) return dueMs;
    }
    return undefined;
  }

  #firstOfDay(dayMs: number, afterMs: number): number | undefined {
    const { firstMs, secondMs, changesAtMs } = this.#zone.around(dayMs);
    if (changesAtMs === Number.POSITIVE_INFINITY) return this.#within(dayMs, firstMs, afterMs, 0, DAY_S);
    /** Second of the day that the wall shows at the change, before and after it. */
    const until = (changesAtMs + firstMs - dayMs) / 1_000;
    const from = (changesAtMs + secondMs - dayMs) / 1_000;
    const parts = this.#isEveryHour
      ? [this.#within(dayMs, firstMs, afterMs, 0, until), this.#within(dayMs, secondMs, afterMs, from, DAY_S)]
      : [
          // With those between the two, if there are any: wall times that do not exist.
          this.#within(dayMs, firstMs, afterMs, 0, Math.max(until, from)),
          this.#within(dayMs, secondMs, afterMs, Math.max(until, from), DAY_S),
        ];
    const due = parts.filter((dueMs) => dueMs !== undefined);
    return due.length === 0 ? undefined : Math.min(...due);
  }

  /** The first time after `afterMs` that is due between two seconds of a day, all of one offset. */
  #within(dayMs: number, offsetMs: number, afterMs: number, fromS: number, untilS: number): number | undefined {
    const afterS = Math.floor((afterMs + offsetMs - dayMs) / 1_000) + 1;
    const second = this.#secondAtOrAfter(Math.max(fromS, afterS, 0));
    return second === undefined || second >= Math.min(untilS, DAY_S) ? undefined : dayMs + second * 1_000 - offsetMs;
  }

  /** The first named second of a day. */
  #secondAtOrAfter(second: number): number | undefined {
    const { hours, minutes, seconds } = this.#fields;
    const [hour, minute, rest] = [Math.floor(second / 3_600), Math.floor(second / 60) % 60, second % 60];
    const [firstMinute, firstSecond] = [minutes[0]!, seconds[0]!];
    if (hours.includes(hour)) {
      const sameMinute = minutes.includes(minute) ? seconds.find((one) => one >= rest) : undefined;
      if (sameMinute !== undefined) return hour * 3_600 + minute * 60 + sameMinute;
      const later = minutes.find((one) => one > minute);
      if (later !== undefined) return hour * 3_600 + later * 60 + firstSecond;
    }
    const laterHour = hours.find((one) => one > hour);
    return laterHour === undefined ? undefined : laterHour * 3_600 + firstMinute * 60 + firstSecond;
  }
}

/** @throws Problem `invalid_schedule` at `/timeZone`. */
function zoneOf(timeZone: string): Zone {
  try {
    // By a name, not by an offset: one that does not change with the seasons is better said in UTC.
    if (!/^[A-Za-z]/.test(timeZone)) throw new RangeError();
    return new Zone(timeZone);
  } catch {
    const message = `${JSON.stringify(timeZone.slice(0, 64))} is not the name of a time zone, as Europe/Berlin is`;
    throw new Problem('invalid_schedule', `timeZone: ${message}`, { issues: [{ path: '/timeZone', message }] });
  }
}

function fieldsOf(cron: string): CronFields {
  if (cron.length > CRON_CHARS_MAX) throw fault(cron, 0, `${cron.length} characters; the most is ${CRON_CHARS_MAX}`);
  if (!ALIASES.has(cron)) checkFields(cron);
  try {
    return readFields(cron);
  } catch (error) {
    throw fieldFault(cron, error as Error);
  }
}

/** Every element can be read by itself: it is how they go together. */
function fieldFault(cron: string, error: Error): Problem {
  const [, kind, twice] = /^Cron(\w+) Validation error, duplicate values found: (.*)$/.exec(error.message) ?? [];
  const name = FIELDS.find((field) => field.replaceAll(' ', '') === kind?.toLowerCase());
  if (name !== undefined) return fault(cron, columnOf(cron, name), `${name}: ${twice} is named twice`);
  return fault(cron, columnOf(cron, 'day of month'), 'day of month: no month that is named has such a day');
}

function readFields(cron: string): CronFields {
  const { second, minute, hour, dayOfMonth, month, dayOfWeek } = CronExpressionParser.parse(cron).fields;
  const months = month.values as readonly number[];
  const dates = dayOfMonth.values;
  const weekdays = dayOfWeek.values;
  const isDate = (day: Date) =>
    dates.includes(day.getUTCDate() as never) || (dayOfMonth.hasLastChar && isLastDate(day));
  const isWeekday = (day: Date) =>
    (weekdays.includes(day.getUTCDay() as never) &&
      (dayOfWeek.nthDay <= 0 || Math.ceil(day.getUTCDate() / 7) === dayOfWeek.nthDay)) ||
    (dayOfWeek.hasLastChar && isLastOf(weekdays, day));
  const holdsDay = dayOfMonth.isWildcard
    ? isWeekday
    : dayOfWeek.isWildcard
      ? isDate
      : (day: Date) => isDate(day) || isWeekday(day);
  return {
    seconds: second.values as readonly number[],
    minutes: minute.values as readonly number[],
    hours: hour.values as readonly number[],
    holds: (day) => months.includes(day.getUTCMonth() + 1) && holdsDay(day),
  };
}

const isLastDate = (day: Date): boolean => new Date(day.getTime() + DAY_MS).getUTCDate() === 1;

/** Is it the last of its weekday in the month, and named so (`5L`)? */
const isLastOf = (weekdays: readonly (number | string)[], day: Date): boolean =>
  new Date(day.getTime() + 7 * DAY_MS).getUTCMonth() !== day.getUTCMonth() &&
  weekdays.some((one) => String(one).endsWith('L') && Number.parseInt(String(one), 10) % 7 === day.getUTCDay());

/** @throws Problem at the first element that cannot be read. */
function checkFields(cron: string): void {
  if (cron.trim().startsWith('@'))
    throw fault(cron, 0, `there is no ${cron.trim()}; there are ${[...ALIASES].join(', ')}`);
  const texts = [...cron.matchAll(/\S+/g)];
  if (texts.length < 5 || texts.length > 6) {
    const at = texts.length > 6 ? texts[6]!.index : cron.length;
    throw fault(cron, at, `${texts.length} fields; five are needed, or six with seconds first`);
  }
  for (const [n, { 0: text, index }] of texts.entries()) {
    let at = index;
    for (const element of text.split(',')) {
      const wrong = elementFault(element, n + FIELDS.length - texts.length);
      if (wrong !== undefined) throw fault(cron, at, wrong);
      at += element.length + 1;
    }
  }
}

/** What is wrong with one element of the list in a field; undefined: nothing. */
function elementFault(element: string, field: number): string | undefined {
  const name = FIELDS[field]!;
  if (element === '') return `${name}: an element of the list is missing`;
  const shown = JSON.stringify(element);
  // A hash of what? An occurrence must be the same on every replica.
  if (/H/.test(element)) return `${name}: ${shown} has an H, which is not known here`;
  const words = element.match(/[a-z]{2,}/gi) ?? [];
  const names = name === 'month' ? MONTH_NAMES : name === 'day of week' ? DAY_NAMES : undefined;
  const unknown = words.find((word) => names === undefined || !names.test(word));
  if (unknown !== undefined) return `${name}: ${JSON.stringify(unknown)} is not known here`;
  const fields = FIELDS.map((_, at) => (at === field ? element : '*'));
  try {
    CronExpressionParser.parse(fields.join(' '));
    return undefined;
  } catch (error) {
    return `${name}: ${shown} cannot be read: ${wordsOf(error)}`;
  }
}

/** The words of `cron-parser` without its own names for kinds of errors. */
const wordsOf = (error: unknown): string =>
  String((error as Error).message)
    .replace(/^(Constraint|Validation) error, /, '')
    .replace(/^./, (first) => first.toLowerCase());

function columnOf(cron: string, field: (typeof FIELDS)[number]): number {
  const texts = [...cron.matchAll(/\S+/g)];
  return texts[FIELDS.indexOf(field) - (FIELDS.length - texts.length)]?.index ?? 0;
}

/** @param at - Of the first character at fault, from 0; people count from 1. */
function fault(cron: string, at: number, message: string): Problem {
  const column = at + 1;
  const issue = { path: '/cron', message, line: 1, column };
  const shown = JSON.stringify(cron.slice(0, CRON_CHARS_MAX));
  return new Problem('invalid_schedule', `cron ${shown}, character ${column}: ${message}`, { issues: [issue] });
}
