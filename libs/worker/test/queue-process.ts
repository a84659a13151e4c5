/** The real task queue, as a process of its own on a Redis of the test's own: libs import no services. */
import { freePort, type ProcessUnderTest, runProcess } from '@plinth/testkit';

export interface QueueProcess {
  url: string;
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Again, on the same port. */
  start(): Promise<void>;
}

const MAIN = new URL('../../../services/queue/src/main.ts', import.meta.url);

export async function startQueue(env: Record<string, string>): Promise<QueueProcess> {
  const port = await freePort();
  let running: ProcessUnderTest;
  const start = async () => {
    running = runProcess({ script: MAIN, env: { QUEUE_PORT: String(port), ...env } });
    await running.waitForLine(/"msg":"ready"/, 30_000);
  };
  await start();
  return { url: `http://127.0.0.1:${port}`, start, kill: (signal) => running.kill(signal) };
}
