/** pino, as its documents set it up for speed: `pino.destination`, and a transport in a thread of its own. */
import { once } from 'node:events';
import { pino } from 'pino';
import { fieldsOf, MESSAGE } from './line.ts';
import type { OpenLogger, Place } from './loggers.ts';

/** `buffered` is what pino's documents call its least overhead, but for the sync that makes it cheaper still. */
const DESTINATIONS = {
  pino: {},
  'pino-async': { sync: false, minLength: 4_096 },
  'pino-sync': { sync: true },
  'pino-buffered': { sync: true, minLength: 4_096 },
  'pino-buffereds': { sync: true, minLength: 4_096 },
  'pino-fsync': { sync: true, fsync: true },
};

export async function openPino(name: string, place: Place): Promise<OpenLogger> {
  return name.startsWith('pino-transport') ? transport(place) : inThisThread(name, place);
}

async function inThisThread(name: string, { path }: Place): Promise<OpenLogger> {
  const stream = pino.destination({ dest: path, ...DESTINATIONS[name as keyof typeof DESTINATIONS] });
  const logger = pino(stream);
  await once(stream, 'ready');
  return {
    log: (call) => logger.info(fieldsOf(call), MESSAGE),
    async close() {
      stream.end();
      await once(stream, 'close');
    },
  };
}

async function transport({ path }: Place): Promise<OpenLogger> {
  const stream = pino.transport({ target: 'pino/file', options: { destination: path } });
  const logger = pino(stream);
  await once(stream, 'ready');
  // Its thread keeps no process alive, not even for the lines that it has yet to write.
  const alive = setInterval(() => {}, 1_000);
  return {
    log: (call) => logger.info(fieldsOf(call), MESSAGE),
    breath: () => ((stream as Needy).writableNeedDrain ? once(stream, 'drain') : undefined),
    async close() {
      stream.end();
      await once(stream, 'close');
      clearInterval(alive);
    },
  };
}

/** What is missing in its types. */
type Needy = ReturnType<typeof pino.transport> & { writableNeedDrain: boolean };
