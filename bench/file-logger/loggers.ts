/** What the race knows of a logger, and how it gets one. */

/** A logger in use. */
export interface OpenLogger {
  /** Logs one line. */
  log(call: number): void;
  /** Where the logger says that it has enough: what to wait for before the next lines, when it has. */
  breath?(): Promise<unknown> | undefined;
  /** All lines are in the file when it is done. */
  close(): Promise<unknown>;
}

/** Where to log. */
export interface Place {
  path: string;
}

type Opener = (name: string, place: Place) => Promise<OpenLogger>;

/** Only the one that is asked for is loaded: memory and start-up are its own. */
const OPENERS: Record<string, () => Promise<Opener>> = {
  plinth: async () => (await import('./plinth.ts')).openPlinth,
  pino: async () => (await import('./pino.ts')).openPino,
  winston: async () => (await import('./winston.ts')).openWinston,
};

/** Opens the logger of a subject, and waits until it can be used. */
export async function openLogger(name: string, place: Place): Promise<OpenLogger> {
  const open = await OPENERS[name.split('-')[0]!]!();
  return open(name, place);
}
