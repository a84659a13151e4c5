/** The process of one logger in one round: what its lines cost. `node cost-main.ts '{"name":…,"path":…,"seconds":3}'` */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { machineCpu } from '../proc.ts';
import { openLogger } from './loggers.ts';
import type { ProducerData } from './producer-thread.ts';
import { type Production, produce, warmUp } from './producing.ts';
import { subjectOf } from './subjects.ts';

export interface CostTask {
  name: string;
  path: string;
  seconds: number;
}

/** What one round of one logger showed. */
export interface Cost {
  calls: number;
  /** Lines that were logged to warm up, in the same file. */
  warmUpCalls: number;
  /** CPU of the whole process, user and system, all threads, until the last line was written. */
  cpuNs: number;
  /** A call as its thread's clock sees it, in loops of a hundred. */
  callNs: number;
  /** CPU of the thread that calls. */
  callerCpuNs: number;
  perSecond: number;
  p50Ns: number;
  p99Ns: number;
  p9999Ns: number;
  rssBytes: number;
  /** Of the machine's CPU, 0 to 1, what this process did not take. */
  foreignShare: number | undefined;
}

/** Opens a window on time and CPU. @returns What closes it. */
function openWindow() {
  const machine = machineCpu();
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  return () => {
    const { user, system } = process.cpuUsage(cpu);
    const elapsedMs = performance.now() - startMs;
    const cpuMs = (user + system) / 1_000;
    const after = machineCpu();
    const totalMs = after === undefined || machine === undefined ? 0 : after.totalMs - machine.totalMs;
    const foreignShare = totalMs > 0 ? Math.max(0, after!.busyMs - machine!.busyMs - cpuMs) / totalMs : undefined;
    return { elapsedMs, cpuMs, foreignShare, rssBytes: process.resourceUsage().maxRSS * 1_024 };
  };
}

async function fromMain({ name, path, seconds }: CostTask): Promise<Cost> {
  const logger = await openLogger(name, { path });
  const warm = await warmUp(logger);
  const close = openWindow();
  const production = await produce(logger, seconds, warm.perSecond);
  return costOf(warm.calls, [production], close());
}

async function fromThreads({ name, path, seconds }: CostTask, producers: number): Promise<Cost> {
  // Of ours, the main thread starts the writer; pino's threads share nothing.
  const logger = name.startsWith('plinth') ? await openLogger(name, { path }) : undefined;
  const workerData: ProducerData = { name, path };
  const file = new URL('./producer-thread.ts', import.meta.url);
  const threads = Array.from({ length: producers }, () => new Worker(file, { workerData }));
  const next = () => Promise.all(threads.map(async (thread) => (await once(thread, 'message'))[0] as unknown));
  const warmUpCalls = ((await next()) as number[]).reduce((sum, calls) => sum + calls, 0);
  const close = openWindow();
  for (const thread of threads) thread.postMessage(seconds);
  const productions = (await next()) as Production[];
  await logger?.close();
  return costOf(warmUpCalls, productions, close());
}

function costOf(warmUpCalls: number, productions: Production[], window: ReturnType<ReturnType<typeof openWindow>>) {
  const sum = (of: (one: Production) => number) => productions.reduce((total, one) => total + of(one), 0);
  const calls = sum((one) => one.calls);
  const samples = new Float64Array(sum(({ sampleNs }) => sampleNs.length));
  let filled = 0;
  for (const { sampleNs } of productions) {
    samples.set(sampleNs, filled);
    filled += sampleNs.length;
  }
  samples.sort();
  const at = (share: number) => samples[Math.min(samples.length - 1, Math.floor(samples.length * share))]!;
  return {
    calls,
    warmUpCalls,
    cpuNs: (window.cpuMs * 1e6) / calls,
    callNs: (sum(({ loopMs }) => loopMs) * 1e6) / calls,
    callerCpuNs: (sum(({ threadCpuMs }) => threadCpuMs) * 1e6) / calls,
    perSecond: calls / (window.elapsedMs / 1_000),
    p50Ns: at(0.5),
    p99Ns: at(0.99),
    p9999Ns: at(0.9999),
    rssBytes: window.rssBytes,
    foreignShare: window.foreignShare,
  };
}

const task = JSON.parse(process.argv[2]!) as CostTask;
const { producers } = subjectOf(task.name);
const cost = producers === 0 ? await fromMain(task) : await fromThreads(task, producers);
process.stdout.write(JSON.stringify(cost), () => process.exit(0));
