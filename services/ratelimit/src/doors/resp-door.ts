/** The door for clients of Redis: `CL.THROTTLE` as redis-cell has it, and `CL.CHECK` for rules. */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Decider } from './decider.ts';
import type { Authenticate } from './resp/commands.ts';
import { type Counts, RespConnection, type Shared } from './resp/resp-connection.ts';
import { RespWriter } from './resp/resp-writer.ts';
import { ThrottleChecks } from './resp/throttle-checks.ts';
import { ThrottlePolicies } from './resp/throttle-policies.ts';

export interface RespDoorOptions {
  readonly decider: Decider;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Where the keys of `CL.THROTTLE` live. Default `default`. */
  readonly domain?: string | undefined;
  /** Default: nobody is asked who they are. Timing must not tell how near a wrong secret is. */
  readonly authenticate?: Authenticate | undefined;
  /** Default 1,024. */
  readonly connectionsMax?: number | undefined;
  /** How long `stop` waits for clients that do not read. Default 2,000. */
  readonly graceMs?: number | undefined;
  /** Told to clients that ask. */
  readonly version?: string | undefined;
}

const TOO_MANY = '-ERR max number of clients reached\r\n';

export class RespDoor {
  readonly #options: RespDoorOptions;
  readonly #connectionsMax: number;
  readonly #server: Server;
  readonly #shared: Shared;
  readonly #connections = new Set<RespConnection>();
  readonly #counts: Counts = { commands: 0, allowed: 0, denied: 0, failures: 0, protocolErrors: 0 };
  #accepted = 0;
  #refused = 0;

  constructor(options: RespDoorOptions) {
    const { decider, domain = 'default', authenticate, connectionsMax = 1_024, version = '0' } = options;
    this.#options = options;
    this.#connectionsMax = connectionsMax;
    this.#shared = {
      decider,
      domain,
      authenticate,
      version,
      policies: new ThrottlePolicies(),
      checks: new ThrottleChecks(),
      writer: new RespWriter(),
      counts: this.#counts,
    };
    this.#server = createServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000, allowHalfOpen: true },
      (socket) => this.#greet(socket),
    );
  }

  /** @returns The port. @throws What `node:net` says when it cannot have it. */
  listen(): Promise<number> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** The protocol has no word for it: who is here is served until `stop`. */
  drain(): void {}

  /** Answers what has been asked, hangs up, and cuts those who do not read within `graceMs`. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of this.#connections) connection.end();
    const cut = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy();
    }, this.#options.graceMs ?? 2_000);
    await closed;
    clearTimeout(cut);
  }

  /** In Prometheus' text format. */
  metrics(): string {
    const { commands, allowed, denied, failures, protocolErrors } = this.#counts;
    const name = 'plinth_ratelimit_resp';
    return [
      counter(`${name}_commands_total`, 'Commands answered, errors included.', commands),
      `# HELP ${name}_verdicts_total Answers of CL.THROTTLE and CL.CHECK.\n# TYPE ${name}_verdicts_total counter\n`,
      `${name}_verdicts_total{verdict="allowed"} ${allowed}\n${name}_verdicts_total{verdict="denied"} ${denied}\n`,
      counter(`${name}_failures_total`, 'Decisions that failed.', failures),
      counter(`${name}_protocol_errors_total`, 'Connections closed because of what they said.', protocolErrors),
      counter(`${name}_refused_connections_total`, 'Connections refused because there were too many.', this.#refused),
      `# HELP ${name}_connections Connections that are open.\n# TYPE ${name}_connections gauge\n`,
      `${name}_connections ${this.#connections.size}\n`,
    ].join('');
  }

  #greet(socket: Socket): void {
    if (this.#connections.size >= this.#connectionsMax) {
      this.#refused += 1;
      socket.on('error', () => {});
      socket.end(TOO_MANY, () => socket.destroy());
      return;
    }
    const connection = new RespConnection(socket, ++this.#accepted, this.#shared);
    this.#connections.add(connection);
    socket.on('close', () => this.#connections.delete(connection));
  }
}

function counter(name: string, help: string, value: number): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} counter\n${name} ${value}\n`;
}
