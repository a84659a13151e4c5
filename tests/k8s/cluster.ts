/** kubectl and helm, as a person would type them, against whatever cluster KUBECONFIG names. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const OUTPUT_BYTES_MAX = 64 * 1_048_576;

/** What a command said. Warnings of the API server come on standard error. */
export interface Said {
  stdout: string;
  stderr: string;
}

/** @param input - Goes to standard input. @throws Error with everything the command said. */
async function command(program: string, args: readonly string[], input?: string): Promise<Said> {
  const running = run(program, args, { maxBuffer: OUTPUT_BYTES_MAX });
  running.child.stdin?.end(input ?? '');
  try {
    return await running;
  } catch (error) {
    const { stdout, stderr } = error as Said;
    throw new Error(`${program} ${args.join(' ')}\n${stdout}${stderr}`, { cause: error });
  }
}

export const kubectl = (...args: string[]): Promise<Said> => command('kubectl', args);
export const helm = (...args: string[]): Promise<Said> => command('helm', args);
export const apply = (yaml: string, ...args: string[]): Promise<Said> =>
  command('kubectl', ['apply', '--server-side', '-f', '-', ...args], yaml);

// biome-ignore lint/suspicious/noExplicitAny: Kubernetes objects; a test reads two or three members of them.
export type KubeObject = any;

/** One object or a list, as JSON. */
export async function get(...args: string[]): Promise<KubeObject> {
  return JSON.parse((await kubectl('get', ...args, '-o', 'json')).stdout);
}

/** Resolves when `holds` does; polls. @throws Error naming `what` after `seconds`. */
export async function until(what: string, seconds: number, holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + seconds * 1_000;
  let latest: unknown;
  while (Date.now() < deadlineMs) {
    try {
      if (await holds()) return;
    } catch (error) {
      latest = error;
    }
    await sleep(300);
  }
  throw new Error(`not within ${seconds} s: ${what}`, { cause: latest });
}

/** A namespace that refuses, and warns of, everything that Pod Security `restricted` does not allow. */
export async function restrictedNamespace(name: string): Promise<void> {
  const labels = ['enforce', 'warn', 'audit'].map((mode) => `    pod-security.kubernetes.io/${mode}: restricted`);
  await apply(`apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ${name}\n  labels:\n${labels.join('\n')}\n`);
}

export async function deleteNamespace(name: string): Promise<void> {
  await kubectl('delete', 'namespace', name, '--ignore-not-found', '--wait=true', '--timeout=120s');
}

/** Why pods are not what they should be: for the error of a failed step. */
export async function describePods(namespace: string): Promise<string> {
  const pods = await kubectl('-n', namespace, 'describe', 'pods');
  const events = await kubectl('-n', namespace, 'get', 'events', '--sort-by=.lastTimestamp');
  return `${pods.stdout}\n${events.stdout}`;
}

export interface Forward {
  url: string;
  stop(): void;
}

/** `kubectl port-forward` on a port of its choice. */
export async function portForward(namespace: string, target: string, port: number): Promise<Forward> {
  const child: ChildProcess = spawn('kubectl', ['-n', namespace, 'port-forward', target, `:${port}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await new Promise<string>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`port-forward to ${target} ended with ${code}`)));
    child.stdout!.on('data', (chunk) => {
      const local = /127\.0\.0\.1:(\d+)/.exec(String(chunk))?.[1];
      if (local !== undefined) resolve(`http://127.0.0.1:${local}`);
    });
  });
  return { url, stop: () => child.kill('SIGTERM') };
}

export async function secretValue(namespace: string, secret: string, key: string): Promise<string> {
  const { data } = await get('-n', namespace, 'secret', secret);
  return Buffer.from(data[key], 'base64').toString();
}
