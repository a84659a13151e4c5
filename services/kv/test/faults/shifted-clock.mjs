/** Preloaded into a service under test: its wall clock is off by as many milliseconds as the file says. */
import { readFileSync } from 'node:fs';

const { CLOCK_SHIFT_FILE } = process.env;
const real = Date.now;
let shiftMs = 0;
let readAtMs = 0;

Date.now = () => {
  const nowMs = performance.now();
  if (CLOCK_SHIFT_FILE && nowMs - readAtMs > 5) {
    shiftMs = Number(readFileSync(CLOCK_SHIFT_FILE, 'utf8'));
    readAtMs = nowMs;
  }
  return real() + shiftMs;
};
