/** The key that a client shows to the services, as a header. */
import { Problem } from '@plinth/problem';
import type { TransportRequest } from './transport.ts';

/** The key, or where it is found: asked anew for each attempt, so that a key may be replaced while a client lives. */
export type ApiKey = string | (() => string | Promise<string>);

/** What a key may consist of: what a header may, without spaces. */
const KEY = /^[!-~]+$/;

/** `Bearer …`. Space around the key does not count: files end in a newline. @throws TypeError, without the key. */
export function bearerOf(key: string): string {
  const text = key.trim();
  if (KEY.test(text)) return `Bearer ${text}`;
  throw new TypeError(text === '' ? 'apiKey is empty' : 'apiKey must be printable ASCII characters without a space');
}

/**
 * Asks for the key, for as long as the request may take.
 *
 * @throws What `find` throws; the signal's reason; Problem `deadline_exceeded`, for nothing was sent.
 */
export async function askForBearer(
  find: () => string | Promise<string>,
  { signal, timeoutMs }: Pick<TransportRequest, 'signal' | 'timeoutMs'>,
): Promise<string> {
  const late = Promise.withResolvers<never>();
  const onAbort = () => late.reject(signal!.reason);
  const onDeadline = () => late.reject(new Problem('deadline_exceeded', 'the API key was not there in time'));
  const timer = Number.isFinite(timeoutMs) ? setTimeout(onDeadline, timeoutMs) : undefined;
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return bearerOf(await Promise.race([find(), late.promise]));
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}
