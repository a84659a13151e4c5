/** The HTTP door of a service: its operations, the standard endpoints, and the counts of both. */
import type { Operation } from '@plinth/contracts';
import { AccessLog } from './http/access-log.ts';
import { HttpMetrics } from './http/http-metrics.ts';
import { HttpServer } from './http/http-server.ts';
import { KeyGuard, type KeyLimits } from './http/key-guard.ts';
import type { MountRoute } from './http/mount-door.ts';
import { mountSession } from './http/mount-session.ts';
import { Route, Router } from './http/router.ts';
import type { KeyRing } from './keys/key-ring.ts';
import type { Kit, Service } from './kit.ts';
import type { KitSettings } from './kit-settings.ts';
import { ProcessMetrics } from './process-metrics.ts';
import { standardEndpoints } from './standard-endpoints.ts';

/** Bodies of a service that says nothing else. */
const BODY_BYTES_MAX = 1_048_576;

export interface HttpDoorOptions {
  version: string;
  kit: Kit;
  service: Service;
  settings: KitSettings;
  /** Undefined: whoever reaches the service may use it. */
  keys: KeyRing | undefined;
  /** Of keys whose line names one. Undefined: there is no bus to ask the rate limiter. */
  keyLimits: KeyLimits | undefined;
  state: { readonly isStopping: boolean };
  /** 0: any free one. */
  port: number;
}

export class HttpDoor {
  readonly #options: HttpDoorOptions;
  readonly #httpMetrics: HttpMetrics;
  readonly #processMetrics = new ProcessMetrics();
  readonly #server: HttpServer;

  constructor(options: HttpDoorOptions) {
    this.#options = options;
    this.#httpMetrics = new HttpMetrics(options.kit.name);
    const { kit, settings, keys, keyLimits, port } = options;
    const routes = [...this.#ownRoutes(), ...this.#sessionRoutes(), ...this.#standardRoutes()];
    this.#server = new HttpServer(new Router(routes), {
      ...settings,
      port,
      keyGuard: keys && new KeyGuard(keys, keyLimits),
      mounts: this.#mounts(),
      // A fifth of the time is left for what comes behind: bus, store, traces.
      stopPatienceMs: Math.max(0, settings.shutdownTimeoutMs * 0.8 - settings.shutdownDelayMs),
      log: kit.log,
      accessLog: settings.accessLog === 'none' ? undefined : new AccessLog(kit.log, settings.accessLog),
      now: kit.now,
      random: kit.random,
    });
  }

  /** Listens. @returns The port. @throws Error of the system, such as EADDRINUSE. */
  async listen(): Promise<number> {
    const port = await this.#server.listen();
    this.#processMetrics.start();
    return port;
  }

  beginClosing(): void {
    this.#server.beginClosing();
  }

  /** Resolves when the last request is answered. */
  async close(): Promise<void> {
    await this.#server.close();
    this.#processMetrics.stop();
  }

  #ownRoutes(): Route[] {
    const { service } = this.#options;
    return service.operations.map((served) => {
      const metrics = this.#httpMetrics.route(served.operation.name);
      return new Route(served, { metrics, bodyBytesMax: bodyBytesMax(service, served.operation) });
    });
  }

  #mounts(): MountRoute[] {
    const { mounts = [] } = this.#options.service;
    return mounts.map((mount) => {
      return { mount, metrics: this.#httpMetrics.route(mount.name), bodyBytesMax: BODY_BYTES_MAX };
    });
  }

  /** Where browsers change a key for a cookie. */
  #sessionRoutes(): Route[] {
    const { service, keys } = this.#options;
    return (service.mounts ?? []).map((mount) => {
      const served = mountSession(mount, keys !== undefined);
      const metrics = this.#httpMetrics.route(served.operation.name);
      return new Route(served, { metrics, bodyBytesMax: BODY_BYTES_MAX });
    });
  }

  #standardRoutes(): Route[] {
    const { kit, version, service, keys, state } = this.#options;
    const endpoints = standardEndpoints({
      name: kit.name,
      version,
      service,
      isGuarded: keys !== undefined,
      parts: () => this.#parts(),
      isStopping: () => state.isStopping,
      metrics: () => this.#metrics(),
    });
    return endpoints.map((served) => {
      const metrics = this.#httpMetrics.route(served.operation.name);
      return new Route(served, { metrics, bodyBytesMax: BODY_BYTES_MAX, isVital: true });
    });
  }

  #parts(): Record<string, string | undefined> {
    const { kit, service, state } = this.#options;
    const own = state.isStopping ? 'stopping' : service.notReady();
    return { service: own, ...(kit.bus && { bus: kit.bus.notReady() }) };
  }

  #metrics(): string {
    const { inFlight, streams, sockets } = this.#server.floor;
    return this.#processMetrics.render() + this.#httpMetrics.render({ inFlight, streams, connections: sockets.size });
  }
}

function bodyBytesMax({ bodyBytesMax = BODY_BYTES_MAX }: Service, operation: Operation): number {
  return typeof bodyBytesMax === 'number' ? bodyBytesMax : bodyBytesMax(operation);
}
