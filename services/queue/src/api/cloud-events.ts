/**
 * CloudEvents 1.0 as jobs: `type` is the name, `partitionkey` the group, `source` and `id` together the dedup id for a
 * day, `expirytime` the end of the time to live, `traceparent` the trace. `time` and other attributes mean nothing here.
 * https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md and …/bindings/http-protocol-binding.md
 */
import { createHash } from 'node:crypto';
import type { Call } from '@plinth/contracts';
import { JOB_NAME, LIMITS } from '@plinth/contracts/queue';
import type { Dedup, NewJob } from '../core/job.ts';
import { fault, type Members, matching, moment, text } from './fault.ts';
import { type JobSetting, readGroup, readJob } from './read-job.ts';

const DAY_MS = 24 * 3_600_000;
/** Dedup ids of callers have no control characters, so that these can never be one of theirs. */
const HOUSE = '\u0002';
/** What the attributes of an event are at most; longer ids are hashed to be kept. */
const ATTRIBUTE_CHARS_MAX = 4_096;

/** How the body is to be read. */
export type EventMode = 'no' | 'structured' | 'batch' | 'binary';

export function eventMode(call: Pick<Call, 'header'>): EventMode {
  const mediaType = call.header('content-type') ?? '';
  if (mediaType.startsWith('application/cloudevents')) {
    return mediaType.startsWith('application/cloudevents-batch') ? 'batch' : 'structured';
  }
  return call.header('ce-specversion') === undefined ? 'no' : 'binary';
}

/** The attributes in headers `ce-…`, with what is percent-encoded in them decoded. */
export function eventHeaders(call: Pick<Call, 'headersWith'>): Members {
  return Object.fromEntries(call.headersWith('ce-').map(([name, value]) => [name, decoded(name, value)]));
}

function decoded(name: string, value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    throw fault(`/headers/ce-${name}`, 'it is not percent-encoded well');
  }
}

/**
 * @param attributes - Of the event; in structured mode with its data.
 * @param path - Of the event in the body, or `/headers/ce-` in binary mode: attributes are named by it.
 * @throws Problem `invalid_request` or `schema_mismatch`.
 */
export function readEvent(attributes: Members, data: string, path: string, setting: JobSetting): NewJob {
  const { specversion, type, source, id, partitionkey, expirytime, traceparent, tracestate } = attributes;
  const at = (name: string): string => (path.endsWith('-') ? path + name : `${path}/${name}`);
  if (specversion !== '1.0') throw fault(at('specversion'), 'it takes 1.0');
  if (attributes.data_base64 !== undefined) throw fault(at('data_base64'), 'the data of a job is JSON');
  const name = matching(type, at('type'), JOB_NAME, '1–128 visible ASCII characters');
  const dedup = dedupOf(text(source, at('source'), 1, ATTRIBUTE_CHARS_MAX), text(id, at('id'), 1, ATTRIBUTE_CHARS_MAX));
  const group = partitionkey === undefined ? '' : readGroup(partitionkey, at('partitionkey'));
  const job = readJob({ name, group, data: attributes.data }, data, path.endsWith('-') ? '' : path, setting);
  return {
    ...job,
    dedup,
    expiresAtMs: expirytime === undefined ? job.expiresAtMs : expiry(expirytime, at('expirytime'), setting.nowMs),
    traceparent: setting.traceparent ?? asText(traceparent),
    tracestate: setting.traceparent === undefined ? asText(tracestate) : setting.tracestate,
  };
}

/** An event that is sent again within a day is the same job. */
function dedupOf(source: string, id: string): Dedup {
  const both = `${source}${HOUSE}${id}`;
  const short = both.length < LIMITS.dedupIdCharsMax ? both : createHash('sha256').update(both).digest('base64url');
  return { id: HOUSE + short, mode: 'throttle', ttlMs: DAY_MS };
}

function expiry(value: unknown, path: string, nowMs: number): number {
  const expiresAtMs = moment(value, path);
  if (expiresAtMs <= nowMs) throw fault(path, 'it has passed');
  if (expiresAtMs > nowMs + LIMITS.delayMsMax) throw fault(path, 'it is more than a year (366 days) away');
  return expiresAtMs;
}

const asText = (value: unknown): string | undefined =>
  typeof value === 'string' && value.length <= 512 ? value : undefined;
