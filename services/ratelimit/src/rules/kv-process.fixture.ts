/** The real key-value service, as a process of its own: services import no services. */
import { freePort, type ProcessUnderTest, runProcess, tempDir } from '@plinth/testkit';

export interface KvProcess {
  readonly url: string;
  kill(): Promise<void>;
  /** Again, with the same port and data. */
  start(): Promise<void>;
}

const MAIN = new URL('../../../kv/src/main.ts', import.meta.url);

/** @param isStarted - False: it is started later, by `start`. */
export async function kvProcess(natsUrl: string, { isStarted = true } = {}): Promise<KvProcess> {
  const port = await freePort();
  const dataDir = tempDir('kv');
  let running: ProcessUnderTest | undefined;
  const start = async () => {
    running = runProcess({ script: MAIN, env: { KV_PORT: String(port), KV_DATA_DIR: dataDir, NATS_URL: natsUrl } });
    await running.waitForLine(/"msg":"ready"/, 30_000);
  };
  if (isStarted) await start();
  return { url: `http://127.0.0.1:${port}`, start, kill: async () => void (await running?.kill()) };
}
