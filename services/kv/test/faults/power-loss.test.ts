/** The machine loses power under load: what was not synced is destroyed in a copy, and the service starts on that. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { seededRandom, tempDir } from '@plinth/testkit';
import type { Command } from '../../src/core/command.ts';
import { KvProcess, RESTLESS, SLUGGISH } from './kv-process.ts';
import type { Knowledge } from './owned-key.ts';
import { copyFolder, losePower } from './power-loss.ts';
import { rounds, roundsMs } from './rounds.ts';
import { expectMoment, Workload } from './workload.ts';

const LOSSES = 6;
const LIFE_MS_MAX = 150;

describe('a machine that loses power under load', () => {
  it.each([
    ['often', RESTLESS],
    ['seldom', SLUGGISH],
  ])(
    'has every write that was acknowledged before, whatever became of what was not synced (checkpoints come %s)',
    async (_, env) => {
      const random = seededRandom();
      const dataDir = tempDir('kv-power');
      const work = new Workload({ bucket: 'b', random, valueBytesMax: 40_000 });
      const kv = await KvProcess.start({ dataDir, env });
      const stop = new AbortController();
      const working = work.run(kv.http, stop.signal);
      const tried = new Map<string, number>();
      for (let round = 0; round < rounds(LOSSES); round++) {
        await sleep(random() * LIFE_MS_MAX);
        await kv.freeze();
        const moment = work.moment();
        const { lastRevision } = work;
        const copy = tempDir('kv-power-copy');
        copyFolder({ source: dataDir, target: copy });
        const loss = await losePower(`${copy}/g1/durable`, { random, wasAnswered: answeredAt(moment) });
        for (const [what, done] of Object.entries(loss))
          count(tried, what === 'log' ? `log ${done}` : done === true || (what === 'lmdbPages' && done) ? what : '');
        // The frozen one leaves the processor to its copy.
        await expectStart(copy, moment, lastRevision);
        kv.thaw();
      }
      stop.abort();
      await working;
      expect(await kv.stop()).toBe(0);
      tried.delete('');
      process.stderr.write(`${rounds(LOSSES)} losses: ${JSON.stringify(Object.fromEntries(tried))}\n`);
    },
    roundsMs(LOSSES),
  );
});

async function expectStart(dataDir: string, moment: readonly Knowledge[], lastRevision: number): Promise<void> {
  const kv = await KvProcess.start({ dataDir, env: RESTLESS });
  await expectMoment(kv.http, moment);
  const next = await kv.http.send('PUT', '/v1/kv/b/next', { body: 'the next' });
  expect(next.revision).toBeGreaterThan(lastRevision);
  await kv.kill();
}

/** A command was answered unless it is what its writer was waiting for. */
function answeredAt(moment: readonly Knowledge[]): (command: Command) => boolean {
  const byKey = new Map(moment.map((each) => [each.key, each]));
  const isAwaited = (key: string, value: string | undefined, id: string | undefined): boolean => {
    const attempt = byKey.get(key)?.attempt;
    if (attempt === undefined) return false;
    return id === undefined ? attempt.value === value : attempt.id === id;
  };
  return (command) => {
    if (command.do !== 'operation' && command.do !== 'transaction') return false;
    const operations = command.do === 'operation' ? [command.operation] : command.onTrue;
    return !operations.some((operation) => {
      if (!('key' in operation)) return false;
      const value = operation.op === 'put' ? Buffer.from(operation.value).toString('utf8') : undefined;
      return isAwaited(operation.key, value, command.once?.id);
    });
  };
}

const count = (counts: Map<string, number>, what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
