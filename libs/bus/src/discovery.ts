/**
 * The discovery protocol of NATS services, ADR-32: answers to `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`, asked of all
 * services, of those with a name, or of one instance. So `nats micro ls`, `info` and `stats` see us, without
 * `@nats-io/services`, of which npm serves only an old pre-release that pins a second copy of the core.
 * https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-32.md
 */
import type { NatsConnection, Subscription } from '@nats-io/transport-node';
import type { EndpointStats } from './endpoint-stats.ts';

export interface DiscoveredService {
  name: string;
  id: string;
  version: string;
  description: string;
  startedAt: Date;
  endpoints: readonly DiscoveredEndpoint[];
}

export interface DiscoveredEndpoint {
  name: string;
  subject: string;
  queueGroup: string;
  metadata: Readonly<Record<string, string>>;
  stats: EndpointStats;
}

const VERBS = { PING: pingResponse, INFO: infoResponse, STATS: statsResponse } as const;
const NAME = /^[A-Za-z0-9_-]+$/;
/** https://semver.org, without what nobody here writes. */
const VERSION = /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/;

/** @throws TypeError when the name or version is one that NATS tools refuse. */
export function answerDiscovery(connection: NatsConnection, service: DiscoveredService): Subscription[] {
  if (!NAME.test(service.name)) throw new TypeError(`${service.name} is no name of a NATS service`);
  if (!VERSION.test(service.version)) throw new TypeError(`${service.version} is no semantic version`);
  const askedOf = ['', `.${service.name}`, `.${service.name}.${service.id}`];
  return Object.entries(VERBS).flatMap(([verb, response]) =>
    askedOf.map((whom) => {
      const callback = (error: Error | null, message: { respond(data: string): boolean }) => {
        if (error === null) message.respond(JSON.stringify(response(service)));
      };
      return connection.subscribe(`$SRV.${verb}${whom}`, { callback });
    }),
  );
}

function pingResponse({ name, id, version }: DiscoveredService) {
  return { type: 'io.nats.micro.v1.ping_response', name, id, version, metadata: {} };
}

function infoResponse(service: DiscoveredService) {
  const { description } = service;
  const endpoints = service.endpoints.map(({ name, subject, queueGroup, metadata }) => {
    return { name, subject, queue_group: queueGroup, metadata };
  });
  return { ...pingResponse(service), type: 'io.nats.micro.v1.info_response', description, endpoints };
}

function statsResponse(service: DiscoveredService) {
  const endpoints = service.endpoints.map(({ name, subject, queueGroup, stats }) => {
    return { name, subject, queue_group: queueGroup, ...stats.toJSON() };
  });
  const started = service.startedAt.toISOString();
  return { ...pingResponse(service), type: 'io.nats.micro.v1.stats_response', started, endpoints };
}
