/**
 * What watching costs a decision, part by part: `node services/ratelimit/src/core/observatory.bench.ts`. The checks and
 * verdicts are made anew for each decision, as requests make them, outside of what is timed; what their memory costs
 * because the recorder keeps them shows in `all of it`, whose first line is the same without an observatory.
 */
import { checkOf, limitOf, ruleOf, verdictOf } from './decisions.fixture.ts';
import { LiveCounts } from './live-counts.ts';
import { Observatory } from './observatory.ts';
import { Recorder } from './recorder.ts';
import { SpaceSaving } from './top-keys.ts';

const DECISIONS = 1_000_000;
const rule = ruleOf('user');

/** @returns Nanoseconds a step. */
function timed(step: (at: number) => void): number {
  for (let at = 0; at < 50_000; at++) step(at);
  const started = performance.now();
  for (let at = 0; at < DECISIONS; at++) step(at);
  return ((performance.now() - started) * 1e6) / DECISIONS;
}

const say = (what: string, ns: number) => console.log(`${what.padEnd(44)} ${ns.toFixed(0).padStart(5)} ns`);

const names = Array.from({ length: 10_000 }, (_, at) => `api/user/${at}`);
const fresh = Array.from({ length: DECISIONS + 50_000 }, (_, at) => `api/user/new-${at}`);
/** A fourth power: few keys come often. */
const skewed = Uint32Array.from({ length: DECISIONS }, (_, at) =>
  Math.floor(10_000 * (((at * 7919) % DECISIONS) / DECISIONS) ** 4),
);
for (const keys of [names, fresh]) new Set(keys);

let sketch = new SpaceSaving(1_000);
say(
  'a sketch, 10,000 keys of which few are many',
  timed((at) => sketch.count(names[skewed[at]!]!)),
);
sketch = new SpaceSaving(1_000);
say(
  'a sketch, 500 keys',
  timed((at) => sketch.count(names[at % 500]!)),
);
sketch = new SpaceSaving(1_000);
say(
  'a sketch, every key is new',
  timed((at) => sketch.count(fresh[at]!)),
);

const counts = new LiveCounts();
const limit = limitOf(rule, 'ann');
say(
  'counting by rule',
  timed(() => counts.count(limit, false)),
);

const recorder = new Recorder();
const pool = Array.from({ length: 100_000 }, (_, at) => {
  const isAllowed = at % 10 !== 0;
  return [checkOf([String(at % 5_000)]), verdictOf([limitOf(rule, String(at % 5_000), { isAllowed })])] as const;
});
say(
  'recording',
  timed((at) => recorder.record(...pool[at % pool.length]!, at)),
);

const watch = new Observatory({ nowMs: 0, show: String });
say(
  'an observatory, decisions that are there',
  timed((at) => watch.decided(...pool[at % pool.length]!, at)),
);

function made(at: number) {
  const user = names[skewed[at]!]!;
  return [checkOf([user]), verdictOf([limitOf(rule, user, { key: user, isAllowed: at % 10 !== 0 })])] as const;
}
let sum = 0;
const alone = timed((at) => {
  sum += made(at)[1].limits.length;
});
say('all of it: making a check and a verdict', alone);
const both = timed((at) => watch.decided(...made(at), at));
say('all of it: the same, watched', both);
say('all of it: the difference', both - alone);
if (sum === 0) throw new Error('nothing was made');
