/** A thread of a sandbox: loads the processor once, and runs one job at a time. */
import { parentPort, workerData } from 'node:worker_threads';
import { errorFacts, errorOfFacts } from './errors.ts';
import type { Handler, Job } from './job.ts';
import type { SandboxAnswer, SandboxJob, SandboxOrder } from './sandbox.ts';

const port = parentPort!;
const { processor } = workerData as { processor: string };
const handler = loadHandler();
// It is awaited with the first job, which then fails with the reason.
handler.catch(() => {});
let controller = new AbortController();

port.on('message', (order: SandboxOrder) => {
  if ('abort' in order) controller.abort(errorOfFacts(order.abort));
  else void run(order.run);
});

async function run(job: SandboxJob): Promise<void> {
  controller = new AbortController();
  try {
    const result = await (await handler)(jobOf(job, controller.signal));
    say({ result });
  } catch (error) {
    say({ error: errorFacts(error) });
  }
}

function jobOf({ enqueuedAtMs, deadlineMs, ...facts }: SandboxJob, signal: AbortSignal): Job {
  return {
    ...facts,
    enqueuedAt: new Date(enqueuedAtMs),
    deadline: deadlineMs === undefined ? undefined : new Date(deadlineMs),
    signal,
    progress: (progress) => say({ progress }),
    log: (line) => say({ log: String(line) }),
  };
}

async function loadHandler(): Promise<Handler> {
  const module = (await import(processor)) as { handler?: unknown; default?: unknown };
  const found = module.handler ?? module.default;
  if (typeof found === 'function') return found as Handler;
  throw new TypeError(`${processor} exports no function as \`handler\``);
}

function say(answer: SandboxAnswer): void {
  port.postMessage(answer);
}
