/** The real key-value service, as a process of its own: libs import no services. */
import { freePort, type ProcessUnderTest, runProcess, tempDir } from '@plinth/testkit';

export interface KvProcess {
  url: string;
  kill(): Promise<void>;
  /** Again, with the same port and data. */
  start(): Promise<void>;
}

const MAIN = new URL('../../../services/kv/src/main.ts', import.meta.url);

export async function startKv(env: Record<string, string> = {}): Promise<KvProcess> {
  const port = await freePort();
  const dataDir = tempDir('kv');
  let running: ProcessUnderTest;
  const start = async () => {
    running = runProcess({ script: MAIN, env: { KV_PORT: String(port), KV_DATA_DIR: dataDir, ...env } });
    await running.waitForLine(/"msg":"ready"/, 30_000);
  };
  await start();
  return { url: `http://127.0.0.1:${port}`, start, kill: () => running.kill() };
}
