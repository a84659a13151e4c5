/**
 * winston with its file transport. It has neither a `pid` nor numbered levels; a format of ours writes the same JSON with
 * the least work that we know of.
 */
import { once } from 'node:events';
import { hostname } from 'node:os';
import winston from 'winston';
import { fieldsOf, MESSAGE } from './line.ts';
import type { OpenLogger, Place } from './loggers.ts';

export async function openWinston(_name: string, { path }: Place): Promise<OpenLogger> {
  const file = new winston.transports.File({ filename: path });
  const base = { pid: process.pid, hostname: hostname() };
  const logger = winston.createLogger({
    format: winston.format.printf(({ level: _, message, ...fields }) =>
      JSON.stringify({ level: 30, time: Date.now(), ...base, ...fields, msg: message }),
    ),
    transports: [file],
  });
  await once(file, 'open');
  return {
    log: (call) => void logger.info(MESSAGE, fieldsOf(call)),
    breath: () => (logger.writableNeedDrain ? once(logger, 'drain') : undefined),
    async close() {
      logger.end();
      await once(file, 'finish');
    },
  };
}
