/** The service as a process of its own: to talk to, to freeze and to kill. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually, type ProcessUnderTest, runProcess } from '@plinth/testkit';
import { HttpClient } from './http-client.ts';

export const KV_MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Small bounds, so that checkpoints, trims, recycling and changes of segment happen all the time. */
export const RESTLESS = {
  KV_CHECKPOINT_BYTES: '65536',
  KV_CHECKPOINT_INTERVAL_MS: '10',
  KV_LOG_SEGMENT_BYTES: '1048576',
} as const;

/**
 * Here the store is some segments behind, so that a log trimmed too far is missed, and all of the disk's work waits in
 * one queue behind the making of spare segments, so that an answer given before its record is written is found out.
 */
export const SLUGGISH = {
  ...RESTLESS,
  KV_CHECKPOINT_BYTES: '2097152',
  KV_CHECKPOINT_INTERVAL_MS: '600s',
  UV_THREADPOOL_SIZE: '1',
} as const;

export interface KvOptions {
  dataDir: string;
  /** Beside port and folder. */
  env?: Record<string, string | undefined>;
}

export class KvProcess {
  readonly process: ProcessUnderTest;
  readonly http: HttpClient;
  /** From the start of the process until it said that it is ready. */
  readonly startedInMs: number;

  private constructor(process: ProcessUnderTest, http: HttpClient, startedInMs: number) {
    this.process = process;
    this.http = http;
    this.startedInMs = startedInMs;
  }

  /** Resolves when the service is ready. Throws with all it said when it refuses to start. */
  static async start(options: KvOptions): Promise<KvProcess> {
    const beganMs = performance.now();
    const process = runKv(options);
    const ready = await process.waitForLine(/"msg":"ready"/, 120_000);
    const { port } = new URL((JSON.parse(ready) as { url: string }).url);
    return new KvProcess(process, new HttpClient(Number(port)), performance.now() - beganMs);
  }

  async kill(): Promise<void> {
    await this.process.kill();
    this.http.close();
  }

  /** SIGTERM. Answers the exit code. */
  async stop(): Promise<number | null> {
    this.process.child.kill('SIGTERM');
    const { code } = await this.process.exited;
    this.http.close();
    return code;
  }

  /** Resolves when no thread of the process runs any more, not even in the kernel. */
  async freeze(): Promise<void> {
    this.process.child.kill('SIGSTOP');
    await eventually(() => threadStates(this.process.pid).every((state) => state === 'T'), { intervalMs: 1 });
  }

  thaw(): void {
    this.process.child.kill('SIGCONT');
  }
}

export function runKv({ dataDir, env }: KvOptions): ProcessUnderTest {
  return runProcess({
    script: KV_MAIN,
    env: { KV_PORT: '0', KV_DATA_DIR: dataDir, NATS_URL: undefined, KV_FAULT_ROUNDS: undefined, ...env },
  });
}

/** What a service that refuses to start said: its exit code and its lines of log. One that starts is killed. */
export async function refusalOf(options: KvOptions): Promise<{ code: number | null; lines: string[] }> {
  const process = runKv(options);
  process.waitForLine(/"msg":"ready"/, 30_000).then(
    () => process.kill(),
    () => {},
  );
  const { code } = await process.exited;
  return { code, lines: process.lines };
}

function threadStates(pid: number): string[] {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).map((task) => {
    const text = readFileSync(join(tasks, task, 'stat'), 'utf8');
    return text.slice(text.lastIndexOf(')') + 2, text.lastIndexOf(')') + 3);
  });
}
