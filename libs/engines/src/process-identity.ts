/**
 * Tells whether a recorded process is still the same one.
 *
 * A pid alone is not enough: after a SIGKILL or a reboot a stale file may name a pid that another program has by now,
 * and `down` must never stop that one. A pid with the moment its process started is unique until the next boot, and
 * on Linux the boot's own id makes it unique for good.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A process, named so that it cannot be mistaken for a later one with the same pid. */
export interface ProcessIdentity {
  pid: number;
  /** Opaque; equal only for the same process. */
  birth: string;
}

/** The identity of a running process, or undefined when there is none (or only a zombie) with this pid. */
export function processIdentity(pid: number): ProcessIdentity | undefined {
  const birth = process.platform === 'linux' ? birthOnLinux(pid) : birthByPs(pid);
  return birth === undefined ? undefined : { pid, birth };
}

/** True while the recorded process still runs. */
export function isSameProcess(recorded: ProcessIdentity): boolean {
  return processIdentity(recorded.pid)?.birth === recorded.birth;
}

function birthOnLinux(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses and may hold spaces, so fields count from after it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z') return undefined;
    const startTicks = fields[19];
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}:${startTicks}`;
  } catch {
    return undefined;
  }
}

function birthByPs(pid: number): string | undefined {
  try {
    const line = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    return line === '' || line.startsWith('Z') ? undefined : line.replace(/^\S+\s+/, '');
  } catch {
    return undefined;
  }
}
