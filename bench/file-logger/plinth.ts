/** Ours, at its defaults but for what the name says. */
import { isMainThread } from 'node:worker_threads';
import { fileLogger } from '@plinth/file-logger';
import { threadLogger } from '@plinth/file-logger/threads';
import { fieldsOf, MESSAGE } from './line.ts';
import type { OpenLogger, Place } from './loggers.ts';

export async function openPlinth(name: string, place: Place): Promise<OpenLogger> {
  if (name.startsWith('plinth-thread')) return threaded(place);
  const durability = name === 'plinth-interval' ? 'interval' : name === 'plinth-always' ? 'always' : 'none';
  const logger = fileLogger({ path: place.path, durability });
  return {
    log: (call) => logger.info(fieldsOf(call), MESSAGE),
    close: async () => logger[Symbol.asyncDispose](),
  };
}

/** The main thread says where; its worker threads know. */
function threaded({ path }: Place): OpenLogger {
  const logger = threadLogger(isMainThread ? { path } : {});
  return {
    log: (call) => logger.info(fieldsOf(call), MESSAGE),
    close: async () => logger[Symbol.asyncDispose](),
  };
}
