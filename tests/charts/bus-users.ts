/** A real nats-server with the users that the charts write, and what it refuses them. */
import { type Bus, connectBus } from '@plinth/bus';
import { startTestNats, type TestEngine } from '@plinth/testkit';
import { objects } from './helm.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** A connection of one user, and the subjects that it was refused. */
export interface BusUser {
  bus: Bus;
  connection: Bus['nats'];
  refused: string[];
}

export class BusUsers {
  readonly nats: TestEngine;
  /** Lines of the server, of all users. */
  readonly violations: string[];
  readonly #secrets: Record<string, string>;
  readonly #buses: Bus[] = [];

  private constructor(nats: TestEngine, violations: string[], secrets: Record<string, string>) {
    this.nats = nats;
    this.violations = violations;
    this.#secrets = secrets;
  }

  /** @param bus - More users, as in `global.bus`. */
  static async start(bus: object = {}): Promise<BusUsers> {
    const list = await objects('charts/plinth', { values: { global: { bus } } });
    const secrets = list.find(({ kind, metadata }) => kind === 'Secret' && metadata.name === 'r-nats-auth')!.data;
    const violations: string[] = [];
    const nats = await startTestNats({
      config: withAnybody(Buffer.from(secrets['auth.conf'], 'base64').toString()),
      onLine: (line) => void (/Violation/.test(line) && violations.push(line)),
    });
    return new BusUsers(nats, violations, secrets);
  }

  /** The environment of a service. */
  credentials(user: string): { NATS_URL: string; NATS_USER: string; NATS_PASSWORD: string } {
    return { NATS_URL: this.nats.url, NATS_USER: user, NATS_PASSWORD: this.#passwordOf(user) };
  }

  async as(user: string): Promise<BusUser> {
    const { url } = this.nats;
    const bus = await connectBus({ url, name: user, user, password: this.#passwordOf(user), log: silent });
    this.#buses.push(bus);
    const refused: string[] = [];
    void (async () => {
      for await (const status of bus.nats.status()) {
        if (status.type === 'error') refused.push(/"([^"]*)"/.exec(status.error.message)?.[1] ?? status.error.message);
      }
    })();
    return { bus, connection: bus.nats, refused };
  }

  /** Before the services stop. */
  async close(): Promise<void> {
    await Promise.all(this.#buses.map((bus) => bus.close()));
  }

  #passwordOf(user: string): string {
    return Buffer.from(this.#secrets[`${user}-password`]!, 'base64').toString();
  }
}

/** The testkit looks without a user whether the server is there: one more who may do nothing. */
function withAnybody(auth: string): string {
  const anybody = '{ user: anybody, password: anybody, permissions: { publish: [], subscribe: [] } }';
  return `${auth.replace('users: [', `users: [\n    ${anybody}`)}\nno_auth_user: anybody\n`;
}
