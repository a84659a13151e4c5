/** Runs a program in this terminal, with our signals, to its end. */
import { spawn } from 'node:child_process';

const FORWARDED: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** What to run: arguments of this Node. */
export interface Script {
  args: string[];
  cwd: string;
  env?: NodeJS.ProcessEnv;
}

/** Runs this very Node with some arguments. Returns its exit code; 128 + n when a signal ended it is reported as 1. */
export function runScript({ args, cwd, env = process.env }: Script): Promise<number> {
  const child = spawn(process.execPath, args, { cwd, env, stdio: 'inherit' });
  const forward = (signal: NodeJS.Signals) => child.kill(signal);
  for (const signal of FORWARDED) process.on(signal, forward);
  return new Promise((resolve) => {
    const end = (code: number | null) => {
      for (const signal of FORWARDED) process.off(signal, forward);
      resolve(code ?? 1);
    };
    child.on('error', () => end(127));
    child.on('exit', end);
  });
}
