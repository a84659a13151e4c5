/** How busy a machine is, for tests that promise times: on one that has other work, they can only promise less. */

const TIMER_MS = 5;
/** Above it a timer waits for the processor. */
const IDLE_LATE_MS_MAX = 3;

export interface TimerLateness {
  /** Of the timers so far, the 99th percentile in whole milliseconds. */
  p99Ms: number;
  /** Next to nothing was late. */
  isIdle: boolean;
}

/** Watches how late timers of this very process are. @returns What ends that, and tells. */
export function watchTimers(): () => TimerLateness {
  const lateMs: number[] = [];
  let dueMs = performance.now() + TIMER_MS;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    lateMs.push(Math.max(0, nowMs - dueMs));
    dueMs = nowMs + TIMER_MS;
  }, TIMER_MS);
  return () => {
    clearInterval(timer);
    const sorted = lateMs.toSorted((a, b) => a - b);
    const p99Ms = Math.round(sorted[Math.floor(sorted.length * 0.99)] ?? 0);
    return { p99Ms, isIdle: p99Ms <= IDLE_LATE_MS_MAX };
  };
}
