/** Requests over NATS, on a bus that is given or on one of our own. */
import type { Bus } from '@plinth/bus';
import type { Operation } from '@plinth/contracts';
import { type Endpoint, isRead } from './endpoint.ts';
import type { Transport, TransportReply, TransportRequest } from './transport.ts';

/** The part of `Bus` that is used. */
export type BusLike = Pick<Bus, 'request' | 'subscribe'>;

export interface NatsAddress {
  /** `nats://127.0.0.1:4222`; several servers of one cluster separated by commas. */
  url: string;
  token?: string;
  user?: string;
  password?: string;
  /** Path of a `.creds` file. */
  credentialsFile?: string;
}

type OpenBus = BusLike & Partial<Pick<Bus, 'close'>>;

export class NatsTransport implements Transport {
  readonly attemptMsMax = 2_000;
  readonly #connect: () => Promise<OpenBus>;
  /** A bus that was given is its owner's to close. */
  readonly #isOwner: boolean;
  #bus: Promise<OpenBus> | undefined;
  #isClosed = false;

  constructor(nats: BusLike | NatsAddress) {
    this.#isOwner = !('request' in nats);
    this.#connect = 'request' in nats ? async () => nats : () => connectTo(nats);
  }

  /** @throws As `Transport.send`; Problem `body_too_large` beyond the server's `max_payload`. */
  async send({ endpoint, body, ...request }: TransportRequest): Promise<TransportReply> {
    const bus = await this.#connected();
    if (typeof body === 'object' && !(body instanceof Uint8Array)) throw new TypeError('NATS carries no streams');
    const { status, headers, body: bytes } = await bus.request(asOperation(endpoint), { ...request, body });
    return { status, headers, body: bytes };
  }

  subscribe(subject: string, notice: () => void): { stop(): void } {
    const subscription = this.#connected().then((bus) => bus.subscribe(subject, notice));
    // Without a bus the requests beside it fail as well, and say so.
    subscription.catch(() => {});
    return { stop: () => void subscription.then((opened) => opened.stop()).catch(() => {}) };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#isOwner) await (await this.#bus?.catch(() => undefined))?.close?.();
  }

  #connected(): Promise<OpenBus> {
    if (this.#isClosed) throw new Error('this client is closed');
    this.#bus ??= this.#connect().catch((error) => {
      this.#bus = undefined;
      throw error;
    });
    return this.#bus;
  }
}

/** Loaded only when it is wanted: nats.js takes 30 ms and 8 MB at start. */
async function connectTo(address: NatsAddress): Promise<OpenBus> {
  const { connectBus } = await import('@plinth/bus');
  return connectBus({ ...address, name: 'plinth-client', connectMsMax: CONNECT_MS_MAX });
}

/** One try: the caller repeats. */
const CONNECT_MS_MAX = 0;

/**
 * The bus reads of an operation only what an endpoint has.
 *
 * It takes an idempotent write without an answer for one that did not happen; we tell the two apart, and repeat it
 * because it is idempotent.
 */
function asOperation(endpoint: Endpoint): Operation {
  return { ...endpoint, idempotent: isRead(endpoint) } as unknown as Operation;
}
