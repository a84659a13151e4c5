/**
 * What Linux knows about a process and its children: CPU time and memory.
 *
 * A server may be several processes, so every figure is of the whole tree; threads are in the figures of their process
 * already. Where there is no /proc (macOS) every figure is undefined, and tables show a dash.
 */
import { readFileSync } from 'node:fs';

/** USER_HZ, the unit of /proc/<pid>/stat, is 100 on every Linux that Node runs on. */
const TICK_MS = 10;
const BYTES_PER_KIB = 1_024;

/**
 * CPU time used so far, user and system, of a process, its threads, its children and those of them that ended.
 * @returns Milliseconds in steps of 10, or undefined without /proc.
 */
export function cpuMsOf(pid: number): number | undefined {
  const ticks = treeOf(pid).map(ticksOf);
  return ticks.length === 0 ? undefined : ticks.reduce((sum, count) => sum + count, 0) * TICK_MS;
}

/** CPU of this process and of its children that have ended, in milliseconds; those that still run do not count. */
export function ownCpuMs(): number | undefined {
  return readIfThere('/proc/self/stat') === undefined ? undefined : ticksOf(process.pid) * TICK_MS;
}

/** Memory of a process tree in bytes. */
export interface Memory {
  /** All resident pages: the figure of the owner's limits. */
  rssBytes: number;
  /** What the process allocated. */
  anonBytes: number;
  /** Mapped files, such as LMDB's data: the kernel takes these pages back when others need them. */
  fileBytes: number;
}

/** Resident memory, or undefined without /proc. Pages shared between processes of the tree count in each. */
export function memoryOf(pid: number): Memory | undefined {
  const statuses = treeOf(pid).map((member) => readIfThere(`/proc/${member}/status`) ?? '');
  if (statuses.length === 0) return undefined;
  const bytes = (field: string) => statuses.reduce((sum, status) => sum + kibOf(status, field), 0) * BYTES_PER_KIB;
  return { rssBytes: bytes('VmRSS'), anonBytes: bytes('RssAnon'), fileBytes: bytes('RssFile') };
}

/** CPU time of the whole machine since it started, in milliseconds summed over its cores. */
export interface MachineCpu {
  busyMs: number;
  totalMs: number;
}

/** Undefined without /proc. Time stolen by the hypervisor counts as busy: nobody here could use it. */
export function machineCpu(): MachineCpu | undefined {
  const stat = readIfThere('/proc/stat');
  if (stat === undefined) return undefined;
  // Guest time, behind these eight, is part of user time already.
  const [user, nice, system, idle, ioWait, irq, softIrq, steal] = stat.split(/\s+/).slice(1, 9).map(Number) as number[];
  const busyMs = (user! + nice! + system! + irq! + softIrq! + steal!) * TICK_MS;
  return { busyMs, totalMs: busyMs + (idle! + ioWait!) * TICK_MS };
}

/** A process and all below it; empty when it is gone. */
function treeOf(pid: number): number[] {
  const children = readIfThere(`/proc/${pid}/task/${pid}/children`);
  if (children === undefined) return readIfThere(`/proc/${pid}/stat`) === undefined ? [] : [pid];
  return [
    pid,
    ...children
      .split(' ')
      .filter(Boolean)
      .flatMap((child) => treeOf(Number(child))),
  ];
}

function ticksOf(pid: number): number {
  const stat = readIfThere(`/proc/${pid}/stat`);
  if (stat === undefined) return 0;
  // The second field is the program's name, which may hold spaces and parentheses; the third follows the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [userTicks, systemTicks, endedChildrenUser, endedChildrenSystem] = fields.slice(11, 15).map(Number) as number[];
  return userTicks! + systemTicks! + endedChildrenUser! + endedChildrenSystem!;
}

function kibOf(status: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
