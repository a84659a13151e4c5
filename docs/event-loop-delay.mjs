/**
 * How long the event loop is late while 50 lines are logged every 5 ms:
 *
 *     node docs/event-loop-delay.mjs file|thread none|interval|always
 */
import { rmSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileLogger } from '@plinth/file-logger';
import { threadLogger } from '@plinth/file-logger/threads';

const [kind = 'file', durability = 'none'] = process.argv.slice(2);
const options = { path: '.plinth/event-loop-delay.log', durability };
const log = kind === 'thread' ? threadLogger(options) : fileLogger(options);
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
for (let turn = 0; turn < 300; turn++) {
  for (let line = 0; line < 50; line++) log.info({ turn, line }, 'hello');
  await new Promise((resolve) => setTimeout(resolve, 5));
}
const ms = (ns) => `${(ns / 1e6).toFixed(1)} ms`;
console.log(
  `${kind}, ${durability}: p50 ${ms(delay.percentile(50))}, p99 ${ms(delay.percentile(99))}, most ${ms(delay.max)}`,
);
await log.close();
rmSync(options.path);
