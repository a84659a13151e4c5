/** Ids of replicas and of events. */
import { randomBytes } from 'node:crypto';

/** 16 characters, 96 bits: no two are alike. */
export const newId = (): string => randomBytes(12).toString('base64url');

/** Ids of one process: a random beginning and a count, for what comes by the thousand. */
export function idSeries(): () => string {
  const beginning = newId();
  let count = 0;
  return () => `${beginning}-${(count++).toString(36)}`;
}
