/** The two times that limits go by. */
export interface LimiterClock {
  /** Microseconds since any moment, of a clock that nobody sets. Small numbers keep fractions exact. */
  nowUs(): number;
  /** Microseconds since 1970, for calendar quotas; never goes back. */
  wallUs(): number;
}

/** Looks in a row, each less than this after the one before, are a burst. */
const BURST_GAP_US = 5;
const BURST_LOOKS = 4;
/** How many looks one reading is good for in a burst: at 40 ns a reading it costs hardly more than none. */
const LOOKS_PER_READING = 64;

/**
 * The clocks of this process. A reading costs as much as the rest of a decision, so in a burst one is good for 64 looks,
 * and never beyond the end of the turn of the event loop: what is decided in between is dated some microseconds early.
 * Who decides once per turn gets a reading each time.
 */
export function processClock(): LimiterClock {
  let lastMs = 0;
  return {
    nowUs: burstClock(() => performance.now() * 1_000),
    wallUs() {
      lastMs = Math.max(lastMs, Date.now());
      return lastMs * 1_000;
    },
  };
}

function burstClock(readUs: () => number): () => number {
  let lastUs = Number.NEGATIVE_INFINITY;
  let looks = 0;
  let looksLeft = 0;
  let isTurnWatched = false;
  const endTurn = () => {
    isTurnWatched = false;
    looksLeft = 0;
  };
  const reading = () => {
    const nowUs = readUs();
    looks = nowUs - lastUs < (looks >= BURST_LOOKS ? BURST_GAP_US * LOOKS_PER_READING : BURST_GAP_US) ? looks + 1 : 0;
    lastUs = nowUs;
    if (looks < BURST_LOOKS) return nowUs;
    looksLeft = LOOKS_PER_READING - 1;
    if (!isTurnWatched) queueMicrotask(endTurn);
    isTurnWatched = true;
    return nowUs;
  };
  return () => {
    if (looksLeft === 0) return reading();
    looksLeft--;
    return lastUs;
  };
}

/** The same clock, but what it showed it never takes back: a step backwards is a standstill. */
export function neverBack(read: () => number): () => number {
  let last = Number.NEGATIVE_INFINITY;
  return () => {
    const now = read();
    if (now > last) last = now;
    return last;
  };
}
