/** Who is compared, and how each is set up. */

/** What one of them is. */
export interface Subject {
  name: string;
  /** For tables. */
  title: string;
  isOurs: boolean;
  /** Worker threads that log; 0: the main thread does. */
  producers: number;
  /** Its own thread for writing, for tables. */
  writer: 'none' | 'one' | 'one each';
}

const subject = (
  name: string,
  title: string,
  { producers = 0, writer = 'none' as Subject['writer'] } = {},
): Subject => ({ name, title, isOurs: name.startsWith('plinth'), producers, writer });

export const SUBJECTS: readonly Subject[] = [
  subject('plinth', 'plinth, durability none'),
  subject('plinth-interval', 'plinth, durability interval'),
  subject('plinth-always', 'plinth, durability always'),
  subject('plinth-thread', 'plinth, threadLogger', { writer: 'one' }),
  subject('plinth-threads', 'plinth, threadLogger', { producers: 4, writer: 'one' }),
  subject('pino', 'pino, default destination'),
  subject('pino-async', 'pino, sync: false, minLength 4096'),
  subject('pino-sync', 'pino, sync: true'),
  subject('pino-buffered', 'pino, sync: true, minLength 4096'),
  subject('pino-fsync', 'pino, sync: true, fsync: true'),
  subject('pino-transport', 'pino.transport pino/file', { writer: 'one' }),
  subject('pino-transports', 'pino.transport pino/file', { producers: 4, writer: 'one each' }),
  subject('pino-buffereds', 'pino, sync: true, minLength 4096', { producers: 4 }),
  subject('winston', 'winston, File transport'),
];

/** Modes of pino in one thread, of which the cheapest is what we are held against. */
export const PINO_MODES = ['pino', 'pino-async', 'pino-sync', 'pino-buffered', 'pino-transport'];

/** What can be chosen with `--only`, beside `SERVED`. */
export const SUBJECT_NAMES = SUBJECTS.map(({ name }) => name);

/** A service that logs each of its requests. */
export const SERVED = 'served';

export function subjectOf(name: string): Subject {
  const found = SUBJECTS.find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is no logger "${name}"`);
  return found;
}
