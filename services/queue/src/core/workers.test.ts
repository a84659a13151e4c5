import { describe, expect, test } from '@jest/globals';
import { ManualClock } from '@plinth/testkit';
import { FORGET_MS, type WorkerNews, Workers } from './workers.ts';

/** Two replicas that hear each other. */
function replicas() {
  const clock = new ManualClock();
  const heard: WorkerNews[] = [];
  const other = new Workers({ now: clock.now, share: () => undefined });
  const one = new Workers({
    now: clock.now,
    share: (news) => {
      heard.push(news);
      other.hear(JSON.parse(JSON.stringify(news)) as WorkerNews);
    },
  });
  return { clock, one, other, heard };
}

const BEAT = { queues: ['mail', 'sms'], slots: 8, used: 3, rssBytes: 1_000, host: 'a' };

describe('workers', () => {
  test('are known on every replica, with their latest words', () => {
    const { one, other, clock } = replicas();
    const startMs = clock.now();
    expect(one.beat('w1', BEAT)).toEqual({ state: 'run' });
    clock.advance(10);
    one.beat('w1', { ...BEAT, used: 4 });
    const view = { ...BEAT, used: 4, worker: 'w1', state: 'run', firstSeenAtMs: startMs, lastSeenAtMs: startMs + 10 };
    expect(one.list()).toEqual([view]);
    expect(other.list()).toEqual([view]);
  });

  test('an order given on one replica is heard at the next beat on another', () => {
    const { one, other } = replicas();
    one.beat('w1', BEAT);
    expect(one.order('w1', 'quiet')).toEqual({ state: 'quiet' });
    expect(other.beat('w1', BEAT)).toEqual({ state: 'quiet' });
  });

  test('who is to terminate does not become merely quiet', () => {
    const { one } = replicas();
    one.beat('w1', BEAT);
    one.order('w1', 'terminate');
    expect(one.order('w1', 'quiet')).toEqual({ state: 'terminate' });
    expect(one.beat('w1', BEAT)).toEqual({ state: 'terminate' });
  });

  test('an order to nobody is a problem', () => {
    const { one } = replicas();
    expect(() => one.order('nobody', 'quiet')).toThrow(expect.objectContaining({ code: 'worker_not_found' }));
  });

  test('are forgotten a minute after their last word, not a millisecond before', () => {
    const { one, clock } = replicas();
    one.beat('w1', BEAT);
    clock.advance(1);
    one.beat('w2', BEAT);
    clock.advance(FORGET_MS - 2);
    expect(one.list().map(({ worker }) => worker)).toEqual(['w1', 'w2']);
    clock.advance(1);
    expect(one.list().map(({ worker }) => worker)).toEqual(['w2']);
    clock.advance(1);
    expect(one.list()).toEqual([]);
  });

  test('slots are summed by queue', () => {
    const { one } = replicas();
    one.beat('w1', BEAT);
    one.beat('w2', { ...BEAT, queues: ['sms'], slots: 2, used: 2 });
    expect(one.slots('mail')).toEqual({ count: 1, used: 3, total: 8 });
    expect(one.slots('sms')).toEqual({ count: 2, used: 5, total: 10 });
    expect(one.slots('none')).toEqual({ count: 0, used: 0, total: 0 });
  });
});
