import { type ChildProcess, spawn } from 'node:child_process';
import { afterEach, describe, expect, test } from '@jest/globals';

interface Line extends Record<string, unknown> {
  msg: string;
}

/** A service as its own process, with its log. */
class Running {
  readonly child: ChildProcess;
  readonly lines: Line[] = [];
  readonly exit: Promise<number | null>;
  readonly #waiting: { msg: string; resolve: (line: Line) => void }[] = [];
  #rest = '';

  constructor(env: Record<string, string>) {
    this.child = spawn(process.execPath, [new URL('./run-fixture.ts', import.meta.url).pathname], {
      env: { PATH: process.env.PATH, FIXTURE_PORT: '0', ...env },
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    this.child.stdout!.on('data', (chunk) => this.#take(String(chunk)));
    // Not `close`: that does not come when the channel was disconnected from here.
    const ended = new Promise((resolve) => this.child.stdout!.on('end', resolve));
    this.exit = new Promise((resolve) => this.child.on('exit', (code) => void ended.then(() => resolve(code))));
  }

  line(msg: string): Promise<Line> {
    const said = this.lines.find((line) => line.msg === msg);
    return said ? Promise.resolve(said) : new Promise((resolve) => this.#waiting.push({ msg, resolve }));
  }

  async url(): Promise<string> {
    return String((await this.line('ready')).url);
  }

  #take(text: string): void {
    const parts = (this.#rest + text).split('\n');
    this.#rest = parts.pop()!;
    for (const part of parts) {
      const line = JSON.parse(part) as Line;
      this.lines.push(line);
      for (const { msg, resolve } of this.#waiting) if (msg === line.msg) resolve(line);
    }
  }
}

const all: Running[] = [];
const run = (env: Record<string, string> = {}) => {
  const running = new Running(env);
  all.push(running);
  return running;
};
afterEach(() => {
  for (const { child } of all.splice(0)) child.kill('SIGKILL');
});

describe('a service as a process', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    'stops in order at %s: requests under way are answered, the log is whole',
    async (signal) => {
      const service = run({ FIXTURE_LOG_LEVEL: 'debug' });
      const asked = fetch(`${await service.url()}/v1/slow`);
      await new Promise((resolve) => setTimeout(resolve, 100));
      service.child.kill(signal);
      expect(await (await asked).json()).toBe('done');
      expect(await service.exit).toBe(0);
      const said = service.lines.map(({ msg }) => msg);
      expect(said.slice(said.indexOf('stopping'))).toEqual([
        'stopping',
        'stopped readiness',
        'stopped http',
        'last words',
        'stopped service',
        'stopped telemetry',
        'stopped',
      ]);
      expect(said.filter((msg) => msg.startsWith('started '))).toEqual([
        'started telemetry',
        'started service',
        'started http',
        'started readiness',
      ]);
    },
  );

  test('exits with 1 when the stop takes too long, and names the step', async () => {
    const service = run({ FIXTURE_MOOD: 'stuck', FIXTURE_SHUTDOWN_TIMEOUT_MS: '200' });
    await service.url();
    service.child.kill('SIGTERM');
    expect(await service.exit).toBe(1);
    expect(JSON.stringify(service.lines.at(-1))).toContain('it hangs in: service');
  });

  test('exits at once at the second SIGINT', async () => {
    const service = run({ FIXTURE_MOOD: 'stuck' });
    await service.url();
    service.child.kill('SIGINT');
    await service.line('stopping');
    service.child.kill('SIGINT');
    expect(await service.exit).toBe(130);
  });

  test('is not hurried by a second SIGTERM', async () => {
    const service = run();
    const asked = fetch(`${await service.url()}/v1/slow`);
    await new Promise((resolve) => setTimeout(resolve, 100));
    service.child.kill('SIGTERM');
    await service.line('stopping');
    service.child.kill('SIGTERM');
    expect((await asked).status).toBe(200);
    expect(await service.exit).toBe(0);
  });

  test('ends with its supervisor, and only then', async () => {
    const [supervised, alone] = [run({ PLINTH_SUPERVISED: '1' }), run()];
    const url = (await Promise.all([supervised.url(), alone.url()]))[1];
    supervised.child.disconnect();
    alone.child.disconnect();
    expect(await supervised.exit).toBe(0);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  test('dies of what nobody catches, and says of what', async () => {
    const service = run();
    await fetch(`${await service.url()}/v1/bug`).catch(() => {});
    expect(await service.exit).toBe(1);
    expect(service.lines.at(-1)).toMatchObject({ level: 'error', error: expect.stringContaining('nobody catches me') });
  });

  test('does not start with settings that are wrong, and says so one line a fault', async () => {
    const service = run({ FIXTURE_MODE: 'x', FIXTURE_PORT: 'x', FIXTURE_LOG_LEVEL: 'x' });
    expect(await service.exit).toBe(1);
    expect(service.lines.map(({ level, msg }) => `${level}: ${msg}`)).toEqual([
      'error: FIXTURE_MODE is no setting of fixture; did you mean FIXTURE_MOOD?',
      'error: FIXTURE_PORT is "x"; it must be a port from 0 to 65,535',
      'error: FIXTURE_LOG_LEVEL is "x"; it must be one of debug, info, warn, error, silent',
    ]);
  });
});
