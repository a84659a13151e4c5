/**
 * The store with another log in it: `service-main.ts <log>`. Its settings come from the environment, as always.
 *
 * A service that writes with pino is what ours would be without a logger of its own.
 */
import { kvService } from '@plinth/kv';
import { type Kit, startService } from '@plinth/service-kit';
import { pino } from 'pino';

/** Standard output, as pino's documents set it up: by default, and for least overhead. */
const DESTINATIONS: Record<string, Parameters<typeof pino.destination>[0]> = {
  pino: { dest: 1, sync: true },
  'pino-buffered': { dest: 1, sync: true, minLength: 4_096 },
};

/** pino as the log of a service, with the members of a line that ours has. */
function pinoLog(name: string): Kit['log'] {
  const options = {
    base: { service: kvService.name },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (level: string) => ({ level }) },
  };
  const logger = pino(options, pino.destination(DESTINATIONS[name]));
  type Level = keyof Kit['log'];
  const at = (level: Level) => (msg: string, fields?: Record<string, unknown>) => logger[level](fields ?? {}, msg);
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

const log = process.argv[2] ?? '';
await startService(kvService, { env: process.env, ...(log in DESTINATIONS && { kit: { log: pinoLog(log) } }) });
process.on('SIGTERM', () => process.exit());
