/**
 * What it costs to wake another thread and be woken by it: by messages, which the event loops of both deliver, and by
 * `Atomics.wait` on shared memory.
 *
 *     node docs/thread-crossing.mjs
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

const TRIPS = 50_000;
const [ASKED, ANSWERED] = [0, 1];
const cells = new Int32Array(new SharedArrayBuffer(8));
const echo = `
  const { parentPort, workerData: cells } = require('node:worker_threads');
  parentPort.on('message', (text) => {
    if (text !== 'atomics') return parentPort.postMessage(text);
    for (let trip = 1; trip <= ${TRIPS}; trip++) {
      Atomics.wait(cells, ${ASKED}, trip - 1);
      Atomics.store(cells, ${ANSWERED}, trip);
      Atomics.notify(cells, ${ANSWERED});
    }
  });`;
const worker = new Worker(echo, { eval: true, workerData: cells });

async function tell(name, trips) {
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  await trips();
  const { user, system } = process.cpuUsage(cpu);
  const us = (ms) => ((ms * 1_000) / TRIPS).toFixed(1);
  console.log(`${name}: ${us(performance.now() - startMs)} µs, ${us((user + system) / 1_000)} µs of CPU a round trip`);
}

await tell('messages', async () => {
  for (let trip = 0; trip < TRIPS; trip++) {
    worker.postMessage('a line of text');
    await once(worker, 'message');
  }
});
await tell('Atomics', async () => {
  worker.postMessage('atomics');
  for (let trip = 1; trip <= TRIPS; trip++) {
    Atomics.store(cells, ASKED, trip);
    Atomics.notify(cells, ASKED);
    Atomics.wait(cells, ANSWERED, trip - 1);
  }
});
process.exit();
