/**
 * CPU of a server under load, and how much of the machine others took meanwhile.
 *
 * Wall-clock figures move with whatever else runs on the machine; the CPU a server spends on one operation hardly
 * does. A server that answers first and works later would look cheap, so a window ends only when the server has come to
 * rest. What it does on a timer long after is outside: of our store that is the last checkpoint, 5 s after the last
 * put, 50 ms for 50,000 puts or 2 % (seen with 64 connections on 2 cores).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuMsOf, machineCpu, ownCpuMs } from './proc.ts';

/** What one window of time cost. */
export interface CpuWindow {
  /** CPU of the server in milliseconds; undefined where the system does not tell. */
  serverMs: number | undefined;
  /** The share of the machine's CPU, 0 to 1, that neither the server nor its load took; other opponents are others. */
  foreignShare: number | undefined;
}

/** How long a look at a resting server takes; shorter ones see too few clock ticks. */
const REST_LOOK_MS = 100;
/** A server that uses up to this much of a look is at rest: one clock tick, its timers. */
const REST_CPU_MS = 10;
/** etcd commits every 100 ms, checkpoints take under a second; what lasts longer is not of this window. */
const REST_WAIT_MAX_MS = 2_000;

/** Who works in a window. */
export interface Workers {
  /** A server with its stores: their CPU is the figure. */
  servers: readonly number[];
  /** Load generators that outlive the window. Those that end in it are known without being named. */
  clients?: readonly number[];
}

/** Runs a load and measures the CPU of the server with it: of one process, or of several that work together. */
export async function withCpu<T>(who: number | Workers, load: () => Promise<T>): Promise<T & CpuWindow> {
  const workers = typeof who === 'number' ? { servers: [who] } : who;
  const before = reading(workers);
  const result = await load();
  const underLoad = reading(workers);
  await untilAtRest(workers.servers);
  const afterwards = sumOfCpuMs(workers.servers);
  return {
    ...result,
    serverMs: difference(before.serverMs, afterwards),
    foreignShare: foreignShare(before, underLoad),
  };
}

/** Waits until the servers have finished what they put off. */
export async function untilAtRest(pids: readonly number[]): Promise<void> {
  const deadlineMs = performance.now() + REST_WAIT_MAX_MS;
  while (performance.now() < deadlineMs) {
    const before = sumOfCpuMs(pids);
    await sleep(before === undefined ? 0 : REST_LOOK_MS);
    if ((difference(before, sumOfCpuMs(pids)) ?? 0) <= REST_CPU_MS) return;
  }
}

interface Reading {
  serverMs: number | undefined;
  /** This process, the load generators that have ended, and those that were named. */
  clientMs: number | undefined;
  machine: ReturnType<typeof machineCpu>;
}

function reading({ servers, clients = [] }: Workers): Reading {
  const ownMs = ownCpuMs();
  const clientsMs = sumOfCpuMs(clients);
  return {
    serverMs: sumOfCpuMs(servers),
    clientMs: ownMs === undefined || clientsMs === undefined ? undefined : ownMs + clientsMs,
    machine: machineCpu(),
  };
}

function sumOfCpuMs(pids: readonly number[]): number | undefined {
  let sumMs = 0;
  for (const pid of pids) {
    const cpuMs = cpuMsOf(pid);
    if (cpuMs === undefined) return undefined;
    sumMs += cpuMs;
  }
  return sumMs;
}

function foreignShare(before: Reading, after: Reading): number | undefined {
  const serverMs = difference(before.serverMs, after.serverMs);
  const clientMs = difference(before.clientMs, after.clientMs);
  const busyMs = difference(before.machine?.busyMs, after.machine?.busyMs);
  const totalMs = difference(before.machine?.totalMs, after.machine?.totalMs);
  if (serverMs === undefined || clientMs === undefined || busyMs === undefined || !totalMs) return undefined;
  return Math.max(0, busyMs - serverMs - clientMs) / totalMs;
}

function difference(before: number | undefined, after: number | undefined): number | undefined {
  return before === undefined || after === undefined ? undefined : after - before;
}
