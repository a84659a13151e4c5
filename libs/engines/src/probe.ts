/** Asks a server one question in its own protocol: an open port alone does not say that it serves. */
import { connect } from 'node:net';

/** A question: the bytes to send, and what the answer so far has to hold. */
export interface Question {
  host: string;
  port: number;
  send: string;
  /** True when the answer has arrived. */
  isAnswer(received: string): boolean;
  timeoutMs?: number;
}

/** True when the server gave the wanted answer in time; false for any other end. Never throws. */
export function ask({ host, port, send, isAnswer, timeoutMs = 1_000 }: Question): Promise<boolean> {
  return new Promise((resolve) => {
    let received = '';
    const socket = connect({ host, port });
    const finish = (answered: boolean) => {
      socket.destroy();
      resolve(answered);
    };
    socket.setTimeout(timeoutMs, () => finish(false));
    socket.on('connect', () => socket.write(send));
    socket.on('error', () => finish(false));
    socket.on('close', () => finish(false));
    socket.on('data', (chunk) => {
      received += chunk;
      if (isAnswer(received)) finish(true);
    });
  });
}

/**
 * Checks that a server given by URL can be reached.
 * @throws Error that names the variable, when none of the (comma-separated) addresses accepts a connection.
 */
export async function assertReachable(engine: { source: string; url: string }, defaultPort: number): Promise<void> {
  for (const address of engine.url.split(',')) {
    const { hostname, port } = new URL(address.includes('://') ? address : `tcp://${address}`);
    const host = hostname.replace(/^\[|\]$/g, '');
    if (await accepts(host, Number(port) || defaultPort)) return;
  }
  const shown = engine.url.replace(/\/\/[^@/]*@/g, '//***@');
  throw new Error(`${engine.source}=${shown} does not answer. Start that server, or unset ${engine.source}.`);
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (accepted: boolean) => {
      socket.destroy();
      resolve(accepted);
    };
    socket.setTimeout(3_000, () => finish(false));
    socket.on('connect', () => finish(true));
    socket.on('error', () => finish(false));
  });
}
