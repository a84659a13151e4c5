/**
 * Testkit: real engines, temp folders, a manual clock, seeded randomness, processes to kill and spans to look at.
 *
 * Nothing here is a mock. What a test starts through this lib is stopped after its file, even if the test forgot.
 */
export { freePort } from '@plinth/engines';
export { type ChromiumLaunch, chromiumLaunch } from './chromium.ts';
export { eventually } from './eventually.ts';
export { ManualClock } from './manual-clock.ts';
export { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from './otlp-receiver.ts';
export { type ProcessUnderTest, type RunProcessOptions, runProcess } from './process-under-test.ts';
export { type SeededRandom, seededRandom } from './seeded-random.ts';
export { tempDir } from './temp-dir.ts';
export {
  startTestNats,
  startTestRedis,
  type TestEngine,
  type TestNatsOptions,
  type TestRedisOptions,
  withNats,
  withRedis,
} from './test-engines.ts';
export { type TimerLateness, watchTimers } from './timer-lateness.ts';
