/**
 * A check for gateways that can only ask by GET and look at the status: nginx `auth_request`, Traefik and Caddy
 * `forwardAuth`. The query says where the entries of the descriptor come from; the gateway passes the request's headers.
 */
import { type Call, type Reply, ratelimit, type Served, serve } from '@plinth/contracts';
import type { HeaderStyle } from '@plinth/contracts/ratelimit';
import { Problem } from '@plinth/problem';
import { limitHeaders } from '@plinth/rate-limit/headers';
import type { Engine } from '../core/engine.ts';
import type { Entry } from '../core/rule.ts';
import { checkOf, subjectOf, type Verdict } from '../core/verdict.ts';
import { traced } from './decision-span.ts';
import { deniedReply } from './denied.ts';
import { checkEntry } from './read-check.ts';
import { checkAnswer } from './write-verdict.ts';

export interface GateRooms {
  engine: Engine;
  headers: HeaderStyle;
  /** The caller's address, as the gateway tells it, when the gateway may be believed. */
  addressOf: (call: Asking) => string;
}

type Asking = Pick<Call, 'header' | 'peer'>;
/** Where the value of an entry comes from. */
type Source = (call: Asking) => string | undefined;

interface Part {
  name: string;
  source: Source;
}

export function gateOperations({ engine, headers, addressOf }: GateRooms): Served[] {
  const plans = new Map<string, Part[]>();

  /** The same few texts come again and again: a gateway has them in its configuration. */
  function planOf(text: string): Part[] {
    let plan = plans.get(text);
    if (plan === undefined) {
      plan = text.split(',').map((part) => readPart(part.trim(), addressOf));
      if (plans.size >= 1_000) plans.clear();
      plans.set(text, plan);
    }
    return plan;
  }

  return [
    serve(ratelimit.gate, (call) => {
      const { domain = 'default', by = 'ip:address', cost = 1, deny } = call.query;
      const style = call.query.headers ?? headers;
      const entries = planOf(by).map(({ name, source }) => entryOf(name, source(call)));
      const check = checkOf(domain, [subjectOf(entries)], cost, 'take');
      const verdicts = traced(call, [check], () => engine.check([check]));
      const reply = ([verdict]: Verdict[]) => answer(verdict!, style, Number(deny));
      return verdicts instanceof Promise ? verdicts.then(reply) : reply(verdicts);
    }),
  ];
}

function answer(verdict: Verdict, style: HeaderStyle, denyStatus: number): Reply {
  const told = checkAnswer(verdict);
  if (!verdict.isAllowed) return deniedReply(told, { style, status: denyStatus });
  return { status: 204, headers: style === 'none' ? {} : limitHeaders(told, { style }) };
}

function entryOf(key: string, value: string | undefined): Entry {
  const entry = { key, value: value ?? '' };
  checkEntry(entry, '/query/by');
  return entry;
}

/** `user:header:X-User`, `path:uri`, `ip:address`, `method:method`, `plan:=gold`. @throws Problem `invalid_request` */
function readPart(text: string, addressOf: GateRooms['addressOf']): Part {
  const [, name, kind] = /^([^:]{1,256}):(.+)$/.exec(text) ?? [];
  const source = kind === undefined ? undefined : sourceOf(kind, addressOf);
  if (name !== undefined && source !== undefined) return { name, source };
  const message = `by has ${JSON.stringify(text)}; it takes name:header:X-Name, name:uri, name:method, name:address and name:=value`;
  throw new Problem('invalid_request', message, { issues: [{ path: '/query/by', message }] });
}

/** nginx, Traefik and Caddy each have their own header for the address that was asked for. */
const URI_HEADERS = ['x-original-uri', 'x-forwarded-uri', 'x-original-url'];
const METHOD_HEADERS = ['x-original-method', 'x-forwarded-method'];

function sourceOf(kind: string, addressOf: GateRooms['addressOf']): Source | undefined {
  if (kind.startsWith('header:')) {
    const header = kind.slice('header:'.length).toLowerCase();
    return (call) => call.header(header);
  }
  if (kind.startsWith('=')) return () => kind.slice(1);
  if (kind === 'uri') return (call) => firstOf(call, URI_HEADERS)?.split('?', 1)[0];
  if (kind === 'method') return (call) => firstOf(call, METHOD_HEADERS);
  return kind === 'address' ? addressOf : undefined;
}

function firstOf(call: Pick<Call, 'header'>, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = call.header(name);
    if (value !== undefined) return value;
  }
  return undefined;
}
