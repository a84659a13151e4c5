/** Connects, and puts the parts of the bus together. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Authenticator,
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  errors,
  type NatsConnection,
  type TlsOptions,
} from '@nats-io/transport-node';
import type { Served } from '@plinth/contracts';
import { Problem } from '@plinth/problem';
import type { Bus, BusLog, BusService } from './bus.ts';
import { type Endpoint, openEndpoint } from './endpoint.ts';
import { EventChannel } from './events.ts';
import { Link } from './link.ts';
import { ReplyInbox } from './reply-inbox.ts';
import { requester } from './request.ts';

export interface ConnectBusOptions {
  /** `nats://host:4222` or `tls://…`; several servers of one cluster separated by commas. */
  url: string;
  /** Shown in the server's list of connections: `kv-0`. */
  name: string;
  log?: BusLog;
  token?: string;
  user?: string;
  password?: string;
  /** A `.creds` file; read anew at each connect, so that it may be rotated. */
  credentialsFile?: string;
  /** An empty object asks for TLS with the system's authorities. */
  tls?: Pick<TlsOptions, 'caFile' | 'certFile' | 'keyFile' | 'handshakeFirst'>;
  /** How long to try for the first connection, in milliseconds. Default 30,000. Afterwards it tries for ever. */
  connectMsMax?: number;
}

const CONNECT_MS_MAX = 30_000;
/** One try: a server that takes the connection and says nothing must not hold up the next in the list. */
const HANDSHAKE_MS_MAX = 5_000;
/** Two unanswered pings later the connection counts as lost: half a minute, not the default of four. */
const PING_INTERVAL_MS = 15_000;
/** With endpoints' own bound for requests under way, and room for the flush. */
const FLUSH_MS_MAX = 2_000;

/**
 * Connects to NATS.
 *
 * @throws Problem `unavailable` when no server could be reached in `connectMsMax`, or at once when the credentials are
 * refused.
 */
export async function connectBus(options: ConnectBusOptions): Promise<Bus> {
  const link = new Link(options.log);
  const connection = await firstConnection(options, link);
  void link.watch(connection);
  return busOver(connection, { link, log: options.log, inboxPrefix: inboxPrefixOf(options.name) });
}

async function firstConnection(options: ConnectBusOptions, link: Link): Promise<NatsConnection> {
  const deadlineMs = Date.now() + (options.connectMsMax ?? CONNECT_MS_MAX);
  for (;;) {
    try {
      return await connect(connectionOptions(options, link));
    } catch (cause) {
      const { message } = cause as Error;
      if (cause instanceof errors.AuthorizationError) {
        const whom = options.user === undefined ? 'the credentials' : `the credentials of user ${options.user}`;
        throw new Problem('unavailable', `NATS refuses ${whom}: ${message}`, { cause });
      }
      if (Date.now() >= deadlineMs)
        throw new Problem('unavailable', `the bus cannot be reached: ${message}`, { cause });
      options.log?.warn('NATS is not there yet; trying again', { error: message });
      await sleep(Math.min(1_000 * (0.5 + Math.random()), Math.max(deadlineMs - Date.now(), 1)));
    }
  }
}

function connectionOptions(options: ConnectBusOptions, link: Link): ConnectionOptions {
  return {
    servers: options.url.split(',').map((url) => url.trim()),
    name: options.name,
    inboxPrefix: inboxPrefixOf(options.name),
    maxReconnectAttempts: -1,
    reconnectDelayHandler: () => link.retryDelayMs(),
    // Credentials may be wrong for a moment while they are rotated.
    ignoreAuthErrorAbort: true,
    timeout: HANDSHAKE_MS_MAX,
    pingInterval: PING_INTERVAL_MS,
    // A stack trace for each request costs more than the request.
    noAsyncTraces: true,
    token: options.token,
    user: options.user,
    pass: options.password,
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    ...(options.credentialsFile === undefined ? {} : { authenticator: fileAuthenticator(options.credentialsFile) }),
  };
}

/**
 * Replies come below a prefix of the caller's own, so that its permissions on the server can keep others from reading
 * them: with the common `_INBOX` everybody may listen to everybody's.
 */
export const inboxPrefixOf = (name: string): string => `_INBOX_${name.replace(/[^A-Za-z0-9_-]/g, '_')}`;

function fileAuthenticator(path: string): Authenticator {
  return (nonce) => credsAuthenticator(readFileSync(path))(nonce);
}

function busOver(
  connection: NatsConnection,
  { link, log, inboxPrefix }: { link: Link; log: BusLog | undefined; inboxPrefix: string },
): Bus {
  const inbox = new ReplyInbox(connection, inboxPrefix);
  const events = new EventChannel(connection, link, log);
  const endpoints: Endpoint[] = [];
  const serve = async (service: BusService, operations: readonly Served[]) => {
    const endpoint = await openEndpoint(connection, { service, operations, log });
    endpoints.push(endpoint);
    return endpoint;
  };
  return {
    request: requester({ connection, inbox, link }),
    serve,
    publish: (subject, payload, options) => events.publish(subject, payload, options),
    subscribe: (subject, receive) => events.subscribe(subject, receive),
    nats: connection,
    notReady: () => link.notReady(),
    async flush() {
      link.assertReady();
      await connection.flush();
    },
    async close() {
      await Promise.all(endpoints.map((endpoint) => endpoint.drain()));
      await events.stop();
      if (link.notReady() === undefined) await atMost(FLUSH_MS_MAX, connection.flush());
      link.close();
      inbox.close();
      await connection.close();
    },
  };
}

/** Waits for `work`, whether it ends well or not, for at most so many milliseconds. */
async function atMost(ms: number, work: Promise<void>): Promise<void> {
  await Promise.race([work.catch(() => {}), sleep(ms, undefined, { ref: false })]);
}
