/** Redis' protocol, one question on one connection: for checks. */
import { connect } from 'node:net';

export type RespAnswer = string | number | null | RespAnswer[];

/**
 * Sends one command and reads its answer.
 * @throws Error with the server's words when the answer is an error, or when it breaks off.
 */
export function ask(port: number, words: readonly string[]): Promise<RespAnswer> {
  return new Promise((resolve, reject) => {
    let received = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(commandOf(words)));
    socket.setEncoding('utf8').on('error', reject);
    socket.on('close', () => reject(new Error(`the server closed the connection after ${JSON.stringify(received)}`)));
    socket.on('data', (text) => {
      received += text;
      const parsed = parseResp(received);
      if (parsed === undefined) return;
      socket.destroy();
      if (parsed.error === undefined) resolve(parsed.answer);
      else reject(new Error(parsed.error));
    });
  });
}

function commandOf(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}

/** An answer, and where the next one begins; `error` is set when it, or a part of it, is an error. */
interface Parsed {
  answer: RespAnswer;
  end: number;
  error?: string;
}

/** Reads one answer of ASCII text. @returns Undefined while a part of it is missing. */
export function parseResp(text: string, at = 0): Parsed | undefined {
  const lineEnd = text.indexOf('\r\n', at);
  if (lineEnd === -1) return undefined;
  const [kind, line] = [text[at], text.slice(at + 1, lineEnd)];
  const end = lineEnd + 2;
  if (kind === '+') return { answer: line, end };
  if (kind === '-') return { answer: null, end, error: line };
  if (kind === ':') return { answer: Number(line), end };
  if (kind === '$') return bulk(text, end, Number(line));
  if (kind === '*') return list(text, end, Number(line));
  throw new Error(`no answer of Redis' protocol begins with ${JSON.stringify(kind)}`);
}

function bulk(text: string, at: number, length: number): Parsed | undefined {
  if (length === -1) return { answer: null, end: at };
  const end = at + length + 2;
  return text.length < end ? undefined : { answer: text.slice(at, at + length), end };
}

function list(text: string, at: number, length: number): Parsed | undefined {
  const answer: RespAnswer[] = [];
  let end = at;
  let error: string | undefined;
  for (let index = 0; index < length; index++) {
    const item = parseResp(text, end);
    if (item === undefined) return undefined;
    answer.push(item.answer);
    end = item.end;
    error ??= item.error;
  }
  return error === undefined ? { answer, end } : { answer, end, error };
}
