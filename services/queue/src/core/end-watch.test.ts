import { describe, expect, test } from '@jest/globals';
import { EndWatch } from './end-watch.ts';
import type { JobState, JobView } from './job.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

function opened() {
  const states = new Map<string, JobState>();
  const watched: string[] = [];
  let looks = 0;
  const watch = new EndWatch({
    async get(_, id) {
      looks += 1;
      const state = states.get(id);
      await turn();
      return state && ({ id, state } as JobView);
    },
    watch(queue) {
      watched.push(queue);
      return () => watched.splice(watched.indexOf(queue), 1);
    },
  });
  return { states, watched, watch, looks: () => looks };
}

const patient = (waitMs = 5_000, signal = new AbortController().signal) => ({ waitMs, signal });

describe('waiting for an end', () => {
  test('hears of one that falls between the look and the waiting', async () => {
    const { watch, states } = opened();
    states.set('1', 'leased');
    const waiting = watch.wait('mail', '1', patient());
    states.set('1', 'completed');
    watch.ended('mail', '1');
    expect((await waiting)?.state).toBe('completed');
  });

  test('watches a queue elsewhere only as long as somebody waits for a job of it', async () => {
    const { watch, states, watched } = opened();
    states.set('1', 'leased').set('2', 'leased');
    const both = ['1', '2'].map((id) => watch.wait('mail', id, patient()));
    await turn();
    expect(watched).toEqual(['mail']);
    states.set('1', 'dead').set('2', 'completed');
    watch.ended('mail', '1');
    expect((await both[0])?.state).toBe('dead');
    expect(watched).toEqual(['mail']);
    watch.ended('mail', '2');
    await both[1];
    expect(watched).toEqual([]);
    expect(watch.isIdle).toBe(true);
  });

  test('ends with the job as it is: when patience ends, when the caller goes, when the service stops', async () => {
    const { watch, states } = opened();
    states.set('1', 'leased');
    expect((await watch.wait('mail', '1', patient(20)))?.state).toBe('leased');
    const caller = new AbortController();
    const gone = watch.wait('mail', '1', patient(5_000, caller.signal));
    await turn();
    caller.abort();
    expect((await gone)?.state).toBe('leased');
    const stopped = watch.wait('mail', '1', patient());
    await turn();
    watch.close();
    expect((await stopped)?.state).toBe('leased');
    expect(watch.isIdle).toBe(true);
  });

  test('looks by itself, for what no event told of', async () => {
    const { watch, states } = opened();
    states.set('1', 'leased');
    const waiting = watch.wait('mail', '1', patient());
    await turn();
    states.set('1', 'cancelled');
    expect((await waiting)?.state).toBe('cancelled');
  });
});
