/** The service as a process of its own: to talk to, and to kill. It comes back at the same address. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { freePort, type ProcessUnderTest, runProcess } from '@plinth/testkit';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export class QueueProcess {
  readonly url: string;
  readonly #env: Record<string, string | undefined>;
  #process: ProcessUnderTest;

  private constructor(url: string, env: Record<string, string | undefined>) {
    this.url = url;
    this.#env = env;
    this.#process = runProcess({ script: MAIN, env });
  }

  /** Resolves when the service is ready. Throws with all it said when it refuses to start. */
  static async start(env: Record<string, string | undefined>): Promise<QueueProcess> {
    const port = await freePort();
    const service = new QueueProcess(`http://127.0.0.1:${port}`, {
      NATS_URL: undefined,
      ...env,
      QUEUE_PORT: String(port),
    });
    await service.#untilReady();
    return service;
  }

  /** What it logged since it was last started. */
  get lines(): readonly string[] {
    return this.#process.lines;
  }

  /** Resident memory in bytes; 0 where there is no /proc. */
  get rssBytes(): number {
    try {
      const status = readFileSync(`/proc/${this.#process.pid}/status`, 'utf8');
      return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1_024;
    } catch {
      return 0;
    }
  }

  /** SIGKILL. */
  kill(): Promise<void> {
    return this.#process.kill();
  }

  /** SIGTERM. @returns The exit code. */
  async stop(): Promise<number | null> {
    this.#process.child.kill('SIGTERM');
    return (await this.#process.exited).code;
  }

  /** After `kill` or `stop`. */
  async startAgain(): Promise<void> {
    this.#process = runProcess({ script: MAIN, env: this.#env });
    await this.#untilReady();
  }

  async #untilReady(): Promise<void> {
    await this.#process.waitForLine(/"msg":"ready"/, 60_000);
  }
}
