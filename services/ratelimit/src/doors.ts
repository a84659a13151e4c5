/** The doors besides HTTP: gRPC for Envoy, and the Redis protocol. */
import type { Kit } from '@plinth/service-kit';
import { traced } from './api/decision-span.ts';
import type { RatelimitConfig } from './config.ts';
import type { Engine } from './core/engine.ts';
import type { Decider } from './doors/decider.ts';
import { EnvoyDoor } from './doors/envoy-door.ts';
import { RespDoor } from './doors/resp-door.ts';

export interface DoorsOptions {
  config: RatelimitConfig;
  engine: Engine;
  notReady: () => string | undefined;
  /** How many share the rates that are given away in streaming quotas. */
  replicas: () => number;
  log: Kit['log'];
}

export class Doors {
  readonly #envoy: EnvoyDoor;
  readonly #resp: RespDoor;
  readonly rlsAddress: string;
  readonly respAddress: string;

  private constructor(envoy: EnvoyDoor, resp: RespDoor, addresses: { rls: string; resp: string }) {
    this.#envoy = envoy;
    this.#resp = resp;
    this.rlsAddress = addresses.rls;
    this.respAddress = addresses.resp;
  }

  /** @throws Error of the system, such as EADDRINUSE; nothing is left open then. */
  static async open({ config, engine, notReady, replicas }: DoorsOptions): Promise<Doors> {
    const { rlsHost, rlsPort, respHost, respPort } = config;
    const decider: Decider = {
      check: (checks, options) => traced({ trace: options?.trace }, checks, () => engine.check(checks)),
    };
    const envoy = new EnvoyDoor({ decider, host: rlsHost, port: rlsPort, notReady, quotas: { replicas } });
    const resp = new RespDoor({ decider, host: respHost, port: respPort });
    const rls = `${rlsHost}:${await envoy.listen()}`;
    try {
      return new Doors(envoy, resp, { rls, resp: `${respHost}:${await resp.listen()}` });
    } catch (error) {
      await envoy.stop();
      throw error;
    }
  }

  get all(): readonly { metrics(): string }[] {
    return [this.#envoy, this.#resp];
  }

  drain(): void {
    this.#envoy.drain();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#envoy.stop(), this.#resp.stop()]);
  }
}
