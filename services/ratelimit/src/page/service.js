/** Talking to the service: requests, problems, the key, and the event stream. */
import { byId } from './dom.js';

/** What the service says when it does not do something: RFC 9457. */
export class Refusal extends Error {
  constructor(status, body) {
    super(body.detail ?? body.title ?? `the service answered ${status}`);
    this.status = status;
    this.code = body.code;
    /** With line and column, when it is about a document of rules. */
    this.faults = body.faults ?? body.issues ?? [];
  }
}

const KEY = 'plinth-api-key';
let asking;

function headersWithKey(headers) {
  const key = sessionStorage.getItem(KEY);
  return key === null ? headers : { ...headers, authorization: `Bearer ${key}` };
}

/** Opens the dialog once, however many requests want a key. */
function askForKey(reason) {
  asking ??= new Promise((resolve) => {
    const dialog = byId('key-dialog');
    byId('key-reason').textContent = reason;
    dialog.addEventListener(
      'close',
      () => {
        sessionStorage.setItem(KEY, byId('key-input').value.trim());
        asking = undefined;
        resolve();
      },
      { once: true },
    );
    dialog.showModal();
  });
  return asking;
}

async function send(path, { headers, ...init }) {
  for (;;) {
    const response = await fetch(path, { ...init, headers: headersWithKey(headers) }).catch((cause) => {
      throw new Error('The service does not answer.', { cause });
    });
    if (response.status !== 401) return response;
    await askForKey((await response.json()).detail);
  }
}

async function refuse(response) {
  const body = await response.json().catch(() => ({}));
  throw new Refusal(response.status, body);
}

/** @returns The response, when it is a good one. @throws Refusal, Error when the service is not there */
export async function request(method, path, { json, text, headers = {}, signal } = {}) {
  const body = json === undefined ? text : JSON.stringify(json);
  const type = json === undefined ? 'application/yaml' : 'application/json';
  const typed = body === undefined ? headers : { 'content-type': type, ...headers };
  const response = await send(path, { method, body, headers: typed, signal, cache: 'no-store' });
  if (!response.ok) await refuse(response);
  return response;
}

export const ask = async (method, path, options) => (await request(method, path, options)).json();

const RETRY_MS = 2_000;

/**
 * Follows the event stream for ever: comes back with the last id when it breaks. `fetch` and not `EventSource`, which
 * cannot send a key.
 *
 * @param onState - Told `live` or `lost`.
 */
export async function follow(path, onEvent, onState) {
  let lastId;
  for (;;) {
    try {
      const resume = lastId === undefined ? {} : { 'last-event-id': lastId };
      const response = await send(path, { headers: { accept: 'text/event-stream', ...resume }, cache: 'no-store' });
      if (!response.ok) await refuse(response);
      onState('live');
      for await (const { type, id, data } of eventsOf(response.body)) {
        if (id !== undefined) lastId = id;
        onEvent(type, JSON.parse(data));
      }
    } catch {
      // Whatever broke it, the way on is the same.
    }
    onState('lost');
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split('\n\n');
    text = blocks.pop();
    for (const block of blocks) yield* eventOf(block);
  }
}

function* eventOf(block) {
  const fields = {};
  for (const line of block.split('\n')) {
    const colon = line.indexOf(': ');
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
  }
  if (fields.data !== undefined) yield { type: fields.event, id: fields.id, data: fields.data };
}
