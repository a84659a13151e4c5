/** A process whose state machine has a bug; `commit-queue.test.ts` sees it die. */
import { CommitQueue } from './commit-queue.ts';

const apply = (): never => {
  throw new Error('a bug in the machine');
};
const queue = new CommitQueue(
  {
    log: undefined,
    now: Date.now,
    elapsed: Date.now,
    recordTime: Date.now,
    apply,
    commitTimeoutMs: 1_000,
    observer: undefined,
  },
  0,
);
setTimeout(() => console.log('still alive'), 2_000);
await queue.submit([{ do: 'tick' }]);
