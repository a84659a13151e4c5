/** The settings of the rate limiter. The kit adds host, port, log level and the like. */

import type { Operation } from '@plinth/contracts';
import { PORTS } from '@plinth/contracts/ports';
import { HEADER_STYLES, LIMITS } from '@plinth/contracts/ratelimit';
import { type SettingsOf, setting, settings } from '@plinth/service-kit';

export const ratelimitSettings = settings('ratelimit', {
  backend: setting.enum({
    words: ['memory', 'owners', 'redis'],
    default: 'memory',
    description: 'Where states live: in this process, shared out among the replicas over NATS, or in Redis/Valkey.',
  }),
  redisUrl: setting.text({
    variable: 'REDIS_URL',
    isSecret: true,
    description: 'With the backend `redis`: one server, `redis+sentinel://a:1,b:2/name` or `redis+cluster://a:1,b:2`.',
  }),
  redisPassword: setting.text({
    variable: 'REDIS_PASSWORD',
    isSecret: true,
    description: 'Its password, if that is not in the URL.',
  }),
  redisTimeoutMs: setting.duration({
    default: 5,
    min: 1,
    max: 1_000,
    description: 'How long Redis may take for a decision; then the rule’s `onError` decides.',
  }),
  ownerTimeoutMs: setting.duration({
    default: 50,
    min: 1,
    max: 1_000,
    description: 'How long another replica may take for a decision, with the backend `owners`.',
  }),
  restart: setting.enum({
    words: ['auto', 'permissive', 'conservative'],
    default: 'auto',
    description: 'With `owners`, how keys begin whose states two crashes at once have lost: as new, or as used up.',
  }),
  natsReplicas: setting.int({
    default: 1,
    min: 1,
    max: 5,
    description: 'Copies that NATS keeps of members and of the journal of long quotas: 3 on three servers.',
  }),
  rulesDir: setting.path({
    description: 'A folder of rules (`*.yaml`, `*.yml`, `*.json`), reloaded when they change. Omitted: none.',
  }),
  rulesInKv: setting.bool({
    default: true,
    description: 'Rules also come from the key-value store, over the bus, and go before those of files.',
  }),
  onError: setting.enum({
    words: ['open', 'closed', 'local'],
    default: 'local',
    description: 'For limits that come with requests: what is decided while the backend is away.',
  }),
  shadow: setting.bool({ default: false, description: 'No rule denies anybody; what would have been denied is told.' }),
  headers: setting.enum({
    words: HEADER_STYLES,
    default: 'draft-10',
    description: 'Which headers answers carry, unless the request says another style.',
  }),
  recordedMax: setting.int({
    default: 50_000,
    min: 0,
    max: 1_000_000,
    description: 'The most decisions kept for dry runs; some 300 bytes each. 0: none.',
  }),
  statesMax: setting.int({
    default: 10_000_000,
    min: 1_000,
    max: 100_000_000,
    description: 'The most keys with a state in this process; some 150 bytes each.',
  }),
  waitersMax: setting.int({
    default: 10_000,
    min: 0,
    max: 1_000_000,
    description: 'The most requests that wait here for their turn in a leaky queue.',
  }),
  rlsHost: setting.text({ default: '127.0.0.1', description: 'Address to listen on for Envoy; `0.0.0.0` for all.' }),
  rlsPort: setting.port({ default: PORTS.ratelimitRls, description: 'gRPC port for Envoy: RLS and RLQS.' }),
  respHost: setting.text({
    default: '127.0.0.1',
    description: 'Address to listen on for Redis clients. They are asked for no key.',
  }),
  respPort: setting.port({ default: PORTS.ratelimitResp, description: 'Port for Redis clients: `CL.THROTTLE`.' }),
  plainKeys: setting.bool({
    default: true,
    description: 'Top keys and denials are shown as they are; false: hashed, for keys that are personal.',
  }),
  trustedProxies: setting.list({
    default: [],
    description: 'Networks (`10.0.0.0/8`) whose `X-Forwarded-For` the gate believes. Empty: nobody’s.',
  }),
});

export type RatelimitConfig = SettingsOf<typeof ratelimitSettings>;

/** A check is small, a thousand of them are not; rules may be long. */
const CHECK_BYTES_MAX = 4 * 1_048_576;

export const bodyBytesMax = ({ body }: Operation): number =>
  body.kind === 'bytes' ? LIMITS.rulesBytesMax : CHECK_BYTES_MAX;
