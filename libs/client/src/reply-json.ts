import type { TransportReply } from './transport.ts';

/** The body, parsed. It comes from our own service, so it is believed to be what the contract says. */
export function replyJson<T>({ body }: Pick<TransportReply, 'body'>): T {
  return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8')) as T;
}
