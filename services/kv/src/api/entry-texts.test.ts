import { describe, expect, test } from '@jest/globals';
import type { Version } from '../core/layout.ts';
import { EntryTexts } from './entry-texts.ts';

const at = (revision: number, sequence = 0) => ({ revision, sequence }) as Version;

/** Asks for a version and says whether it had to be written out. */
function asker(texts: EntryTexts) {
  return (version: Version, text = `${version.revision}.${version.sequence}`) => {
    let wrote = false;
    const given = texts.of(version, () => {
      wrote = true;
      return text;
    });
    expect(given).toBe(text);
    return wrote;
  };
}

describe('texts of entries', () => {
  test('are written out once for each revision and place in it', () => {
    const ask = asker(new EntryTexts(100_000));
    const versions = [at(1), at(1, 1), at(2), at(1, 1_023), at(2 ** 42, 7)];
    expect(versions.map((version) => ask(version))).toEqual([true, true, true, true, true]);
    expect(versions.map((version) => ask(version))).toEqual([false, false, false, false, false]);
  });

  test('further back in a revision than there are places are written out each time', () => {
    const ask = asker(new EntryTexts(100_000));
    expect([ask(at(1, 1_024)), ask(at(1, 1_024)), ask(at(2, 0)), ask(at(2, 0))]).toEqual([true, true, true, false]);
  });

  test('that are used stay, the others make room', () => {
    const ask = asker(new EntryTexts(100_000));
    ask(at(1));
    ask(at(2));
    for (let revision = 10; revision < 5_000; revision++) {
      ask(at(revision), 'x'.repeat(200));
      expect(ask(at(1))).toBe(false);
    }
    expect([ask(at(2)), ask(at(4_999), 'x'.repeat(200))]).toEqual([true, false]);
  });

  test('that are larger than their share, or all where nothing may be kept, are not kept', () => {
    const ask = asker(new EntryTexts(1_000));
    expect([ask(at(1), 'x'.repeat(500)), ask(at(1), 'x'.repeat(500))]).toEqual([true, true]);
    const never = asker(new EntryTexts(0));
    expect([never(at(1)), never(at(1))]).toEqual([true, true]);
  });
});
