/** A service as a process: signals, the supervisor, the end. */
import { startTelemetry } from '@plinth/telemetry';
import { ConfigFault } from './environment.ts';
import { logLevelOf } from './kit-settings.ts';
import { createLog, type FlushableLog } from './log.ts';
import { giveStartGarbageBack } from './start-garbage.ts';
import { type RunningService, type ServiceDefinition, startService } from './start-service.ts';

/**
 * Runs the service of this process, until SIGTERM, SIGINT, or, under the suite's supervisor (`PLINTH_SUPERVISED=1`), the
 * end of its channel, so that no service outlives a supervisor that was killed.
 *
 * The process exits with 0 after a stop in order; with 1 when the start failed, the stop took too long, or something
 * was thrown that nobody caught: what such a process would answer cannot be trusted, and the supervisor starts it anew.
 */
export async function runService<Config>(definition: ServiceDefinition<Config>): Promise<void> {
  const env = process.env;
  if (env.PLINTH_COMPILE_ONLY === '1') return compileOnly();
  const log = createLog({ service: definition.name, level: logLevelOf(definition.name, env) });
  const end = new End(log);
  end.crashOn('uncaughtException');
  end.crashOn('unhandledRejection');
  const running = startService(definition, { env, kit: { log } });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => end.asked(signal, running));
  if (env.PLINTH_SUPERVISED === '1') process.on('disconnect', () => end.asked('disconnect', running));
  await running.catch((error: unknown) => end.couldNotStart(error));
  giveStartGarbageBack();
}

/**
 * Everything is loaded by now, but for what is loaded when it is needed. The end writes the compile cache, so that the
 * next process strips no types: what does that stays in memory once it is loaded, 17 MB of it.
 */
async function compileOnly(): Promise<never> {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' };
  const tracing = startTelemetry({ service: 'compiled', version: '0', env });
  await Promise.all([import('@plinth/bus'), import('./keys/key-ring.ts'), tracing]);
  process.exit(0);
}

/** How the process ends; every way flushes the log. */
class End {
  readonly #log: FlushableLog;
  #isStopping = false;

  constructor(log: FlushableLog) {
    this.#log = log;
    process.on('exit', () => log.flush());
  }

  crashOn(event: 'uncaughtException' | 'unhandledRejection'): void {
    process.on(event, (error: unknown) => {
      this.#log.error(`${event}: the process ends`, { error });
      process.exit(1);
    });
  }

  couldNotStart(error: unknown): never {
    if (error instanceof ConfigFault) for (const fault of error.faults) this.#log.error(fault);
    else this.#log.error('could not start', { error });
    process.exit(1);
  }

  /** The second Ctrl-C means now. A second SIGTERM does not: supervisors repeat it. */
  asked(by: 'SIGTERM' | 'SIGINT' | 'disconnect', running: Promise<RunningService>): void {
    if (this.#isStopping && by === 'SIGINT') process.exit(130);
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#log.info('stopping', { by });
    running
      .then((service) => service.stop())
      .then(
        () => this.#exit(0, 'stopped'),
        (error: unknown) => this.#exit(1, 'could not stop in order', { error }),
      );
  }

  #exit(code: 0 | 1, msg: string, fields?: Record<string, unknown>): never {
    this.#log[code === 0 ? 'info' : 'error'](msg, fields);
    process.exit(code);
  }
}
