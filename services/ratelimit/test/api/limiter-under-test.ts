/** A rate limiter in this process with rules of its own, and what talks to it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from '@jest/globals';
import type { CheckAnswer } from '@plinth/contracts/ratelimit';
import { type RunningService, startService } from '@plinth/service-kit';
import { ratelimitService } from '../../src/service.ts';

export const silent = { debug() {}, info() {}, warn() {}, error() {} };

export interface Answer<Body> {
  status: number;
  headers: Headers;
  body: Body;
}

/** Starts before the tests of a file, and stops behind them. */
export function withLimiter(rules: string, env: Record<string, string> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'limits-'));
  writeFileSync(join(folder, 'rules.yaml'), rules);
  let running: RunningService;
  beforeAll(async () => {
    running = await startService(ratelimitService, {
      env: { RATELIMIT_RULES_DIR: folder, RATELIMIT_RLS_PORT: '0', RATELIMIT_RESP_PORT: '0', ...env },
      port: 0,
      kit: { log: silent },
    });
    const listed = (await (await fetch(`${running.url}/v1/rules`)).json()) as { faults: object[] };
    expect(listed.faults).toEqual([]);
  });
  afterAll(async () => {
    await running?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  // biome-ignore lint/suspicious/noExplicitAny: answers are looked into by tests.
  async function call<Body = any>(path: string, body?: unknown, init: RequestInit = {}): Promise<Answer<Body>> {
    const text = body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body);
    const method = body === undefined ? 'GET' : 'POST';
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${running.url}${path}`, { method, body: text, headers, ...init });
    const received = await answer.text();
    const isJson = /json/.test(answer.headers.get('content-type') ?? '');
    return { status: answer.status, headers: answer.headers, body: (isJson ? JSON.parse(received) : received) as Body };
  }

  return {
    call,
    get url() {
      return running.url;
    },
    get service() {
      return running.service;
    },
    folder,
    async check(body: unknown): Promise<CheckAnswer> {
      const { status, body: answer } = await call<CheckAnswer>('/v1/limits/check', body);
      expect(status).toBe(200);
      return answer;
    },
    /** Rounds of the same check, and which of them were allowed. */
    async rounds(count: number, body: unknown): Promise<boolean[]> {
      const allowed: boolean[] = [];
      for (let round = 0; round < count; round++) allowed.push((await this.check(body)).allowed);
      return allowed;
    },
  };
}
