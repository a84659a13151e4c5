/** The line that everybody writes: 4 fields and a message, about 149 bytes. */

/** What a request has to say for itself. */
export interface RequestFields {
  method: string;
  path: string;
  status: number;
  ms: number;
}

export const MESSAGE = 'request completed';

const KINDS = 64;
const PATHS = Array.from({ length: KINDS }, (_, at) => `/v1/kv/users/${10 + at}`);
const TOOK_MS = Array.from({ length: KINDS }, (_, at) => (at + 100) / 4);

/** A fresh object, as an application makes one for every call. */
export function fieldsOf(call: number): RequestFields {
  const kind = call & (KINDS - 1);
  return { method: 'GET', path: PATHS[kind]!, status: 200, ms: TOOK_MS[kind]! };
}

const KEYS = ['level', 'time', 'pid', 'hostname', 'method', 'path', 'status', 'ms', 'msg'];

/** @throws Error for a line that is not what was logged: a race of different lines would compare nothing. */
export function checkLine(line: string): void {
  const said = JSON.parse(line) as Record<string, unknown>;
  const isWhole = KEYS.every((key) => key in said) && Object.keys(said).length === KEYS.length;
  const isRight = said.level === 30 && said.status === 200 && said.msg === MESSAGE && typeof said.time === 'number';
  if (!isWhole || !isRight) throw new Error(`not the line that was logged: ${line}`);
}
