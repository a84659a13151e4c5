import { describe, expect, it } from '@jest/globals';
import { seededRandom } from '@plinth/testkit';
import { STORE_KEY_BYTES_MAX } from '../store/store.ts';
import { ByteWriter } from './byte-codec.ts';
import {
  type ChangeRecord,
  decodeRecord,
  decodeVersion,
  encodeRecord,
  encodeVersion,
  expiryKey,
  idempotencyDueKey,
  idempotencyKey,
  indexKey,
  isLive,
  parseExpiryKey,
  parseIdempotencyDueKey,
  parseRecordKey,
  recordKey,
  userKeyOf,
  type Version,
  versionKey,
} from './layout.ts';

const MAX = Number.MAX_SAFE_INTEGER;
const EVERY_BYTE_BUT_NUL = String.fromCharCode(...Array.from({ length: 255 }, (_, at) => at + 1));
const writer = new ByteWriter();

const VERSION: Version = {
  revision: 9,
  sequence: 2,
  createRevision: 4,
  version: 3,
  expiresAtMs: 0,
  sizeBytes: 10,
  deleted: false,
};

describe('a version', () => {
  it.each([
    ['made now', { createRevision: 9 }],
    ['written again', {}],
    ['that expires', { expiresAtMs: 1_800_000_000_000 }],
    ['deleted', { deleted: true, sizeBytes: 0 }],
    [
      'of the largest numbers',
      { revision: MAX, sequence: 2 ** 32 - 1, createRevision: 1, version: MAX, expiresAtMs: MAX, sizeBytes: MAX },
    ],
  ])('%s is read back', (_what, some) => {
    const version = { ...VERSION, ...some };
    expect(decodeVersion(encodeVersion(writer, version))).toEqual(version);
  });

  it('of a new key takes about ten bytes', () => {
    const version = { ...VERSION, revision: 1_000_000, createRevision: 1_000_000, version: 1, sizeBytes: 1_000 };
    expect(encodeVersion(writer, version).length).toBeLessThanOrEqual(10);
  });

  it('is live until the millisecond before its deadline, without one for ever, and never when deleted', () => {
    const version = { ...VERSION, expiresAtMs: 1_000 };
    expect([isLive(version, 999), isLive(version, 1_000)]).toEqual([true, false]);
    expect(isLive(VERSION, MAX)).toBe(true);
    expect(isLive({ ...VERSION, deleted: true }, 0)).toBe(false);
  });
});

describe('a record', () => {
  const record: ChangeRecord = {
    type: 'put',
    key: EVERY_BYTE_BUT_NUL,
    timeMs: 1_800_000_000_000,
    createRevision: 1,
    version: 2,
    expiresAtMs: MAX,
    previousRevision: MAX,
    previousSequence: 2 ** 32 - 1,
    contentType: 'text/plain; charset=utf-8',
    metadata: '{"a":"\xc3\xa4"}',
    value: Buffer.from([0, 255, 0]),
  };

  it.each(['put', 'delete', 'expire'] as const)('of a %s is read back', (type) => {
    const read = decodeRecord(encodeRecord(writer, { ...record, type }));
    expect({ ...read, value: Buffer.from(read.value) }).toEqual({ ...record, type });
  });

  it('with nothing in it is read back', () => {
    const bare = { ...record, key: 'k', contentType: '', metadata: '', value: new Uint8Array(0), expiresAtMs: 0 };
    expect(decodeRecord(encodeRecord(writer, bare))).toMatchObject({ contentType: '', metadata: '', expiresAtMs: 0 });
    expect(decodeRecord(encodeRecord(writer, bare)).value).toHaveLength(0);
  });
});

describe('keys of rows', () => {
  it('are read back', () => {
    expect(userKeyOf(indexKey(7, EVERY_BYTE_BUT_NUL))).toBe(EVERY_BYTE_BUT_NUL);
    expect(parseRecordKey(recordKey(7, MAX, 5))).toEqual({ revision: MAX, sequence: 5 });
    expect(parseExpiryKey(expiryKey(MAX, 2 ** 32 - 1, 'k'))).toEqual({ timeMs: MAX, bucket: 2 ** 32 - 1, key: 'k' });
    expect(parseIdempotencyDueKey(idempotencyDueKey(MAX, 7, 'id'))).toEqual({ timeMs: MAX, bucket: 7, id: 'id' });
  });

  it('fit the store for the longest key a user may have, and the longest idempotency key', () => {
    const longest = 'k'.repeat(1_024);
    const rows = [indexKey(1, longest), versionKey(1, longest, MAX), expiryKey(MAX, 1, longest)];
    for (const row of rows) expect(row.length).toBeLessThanOrEqual(STORE_KEY_BYTES_MAX);
    expect(idempotencyDueKey(MAX, 1, 'i'.repeat(262)).length).toBeLessThanOrEqual(STORE_KEY_BYTES_MAX);
    expect(idempotencyKey(1, 'i'.repeat(262)).length).toBeLessThanOrEqual(STORE_KEY_BYTES_MAX);
  });

  it('keep buckets apart and users’ keys in order; versions of a key stand together, by revision', () => {
    const random = seededRandom();
    const randomKey = () =>
      Array.from({ length: 1 + random.int(3) }, () => random.pick(['\x01', 'a', 'b', '\xff'])).join('');
    const rows = Array.from({ length: 500 }, () => {
      return { bucket: random.int(3) * 255, key: randomKey(), revision: random.int(3) * 2 ** 40 };
    });
    const order = (a: (typeof rows)[number], b: (typeof rows)[number]) =>
      a.bucket - b.bucket || (a.key < b.key ? -1 : a.key > b.key ? 1 : a.revision - b.revision);
    const wanted = rows.toSorted(order).map(({ bucket, key, revision }) => versionKey(bucket, key, revision));
    expect(rows.map(({ bucket, key, revision }) => versionKey(bucket, key, revision)).toSorted()).toEqual(wanted);
    const indexed = rows.toSorted(order).map(({ bucket, key }) => indexKey(bucket, key));
    expect(rows.map(({ bucket, key }) => indexKey(bucket, key)).toSorted()).toEqual(indexed);
  });
});
