/** The service as it is, on free ports and with rules of a folder, for tests of what it says over HTTP. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type RunningService, startService } from '@plinth/service-kit';
import { tempDir } from '@plinth/testkit';
import { ratelimitService } from '../service.ts';

export interface RunningLimiter extends RunningService {
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  post(path: string, body: unknown): Promise<Response>;
  /** Checks of one descriptor each, `{user: …}` of domain `api`, in order. @returns Which were allowed. */
  check(users: readonly string[]): Promise<boolean[]>;
}

/** @param rules - The document of domain `api`. */
export async function startLimiter(rules: string, env: Record<string, string> = {}): Promise<RunningLimiter> {
  const rulesDir = join(tempDir('rules'), 'limits');
  mkdirSync(rulesDir);
  writeFileSync(join(rulesDir, 'api.yaml'), rules);
  const own = { RATELIMIT_RULES_DIR: rulesDir, RATELIMIT_RLS_PORT: '0', RATELIMIT_RESP_PORT: '0' };
  const running = await startService(ratelimitService, {
    env: { ...own, RATELIMIT_LOG_LEVEL: 'error', ...env },
    port: 0,
  });
  const get = (path: string, headers = {}) => fetch(running.url + path, { headers });
  const post = (path: string, body: unknown) =>
    fetch(running.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const check = async (users: readonly string[]) => {
    const answer = await post(
      '/v1/limits/check',
      users.map((user) => ({ domain: 'api', descriptors: [{ user }] })),
    );
    return ((await answer.json()) as { allowed: boolean }[]).map(({ allowed }) => allowed);
  };
  return { ...running, get, post, check };
}

export const TEN_PER_USER = `domain: api
rules:
  - {name: user, match: {user: "*"}, limit: 10, window: 1h, algorithm: fixed}
`;
