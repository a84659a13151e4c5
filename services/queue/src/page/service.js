/** Talking to the service: requests, problems and the key. */
import { byId } from './dom.js';

/** What the service says when it does not do something: RFC 9457. */
export class Refusal extends Error {
  constructor(status, body) {
    super(body.detail ?? body.title ?? `the service answered ${status}`);
    this.status = status;
    this.code = body.code;
  }
}

const KEY = 'plinth-api-key';
/** The dialog that is open, if it is. */
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
    const key = sessionStorage.getItem(KEY);
    const response = await fetch(path, { ...init, headers: headersWithKey(headers) }).catch((cause) => {
      throw new Error('The service does not answer.', { cause });
    });
    if (response.status !== 401) return response;
    const { detail } = await response.json();
    // Another request may have asked for a key meanwhile.
    if (key === sessionStorage.getItem(KEY)) await askForKey(detail);
  }
}

async function refuse(response) {
  const body = await response.json().catch(() => ({}));
  throw new Refusal(response.status, body);
}

/** @returns The response, when it is a good one. @throws Refusal, Error when the service is not there */
async function request(method, path, json) {
  const body = json === undefined ? undefined : JSON.stringify(json);
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  const response = await send(path, { method, body, headers, cache: 'no-store' });
  if (!response.ok) await refuse(response);
  return response;
}

/** @returns What the answer says; undefined when it says nothing. @throws As `request`. */
export async function ask(method, path, json) {
  const text = await (await request(method, path, json)).text();
  return text === '' ? undefined : JSON.parse(text, exact);
}

/** A number that JavaScript would round is shown as it was written. */
function exact(_key, value, context) {
  if (typeof value !== 'number' || context?.source === undefined || String(value) === context.source) return value;
  return JSON.rawJSON?.(context.source) ?? value;
}

/** `/v1/queues/mails/jobs?state=dead`: parts are escaped, and what is not given is left out. */
export function pathOf(parts, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  const search = given.length === 0 ? '' : `?${new URLSearchParams(given)}`;
  return `/v1/${parts.map(encodeURIComponent).join('/')}${search}`;
}

/** `/v1/queues/mails:pause` */
export const actionOf = (queue, action) => `${pathOf(['queues', queue])}:${action}`;
export const jobPath = (queue, id, action) => pathOf(['queues', queue, 'jobs', id]) + (action ? `:${action}` : '');
