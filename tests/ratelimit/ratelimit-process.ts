/** The rate-limit service as a process of its own, with rules of a test: to ask, to freeze and to kill. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, type ProcessUnderTest, runProcess, tempDir } from '@plinth/testkit';

export interface RatelimitProcess {
  readonly url: string;
  readonly pid: number;
  kill(): Promise<void>;
  /** Again, with the same port and rules. */
  start(): Promise<void>;
}

const MAIN = new URL('../../services/ratelimit/src/main.ts', import.meta.url);

export async function startRatelimit(rules: string, env: Record<string, string> = {}): Promise<RatelimitProcess> {
  const port = await freePort();
  const folder = tempDir('limits');
  writeFileSync(join(folder, 'rules.yaml'), rules);
  let running: ProcessUnderTest;
  const start = async () => {
    running = runProcess({
      script: MAIN,
      env: {
        RATELIMIT_PORT: String(port),
        RATELIMIT_RULES_DIR: folder,
        RATELIMIT_RLS_PORT: '0',
        RATELIMIT_RESP_PORT: '0',
        ...env,
      },
    });
    await running.waitForLine(/"msg":"ready"/, 60_000);
  };
  await start();
  return {
    url: `http://127.0.0.1:${port}`,
    start,
    kill: () => running.kill(),
    get pid() {
      return running.pid;
    },
  };
}
