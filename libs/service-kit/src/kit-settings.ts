/** The settings that every service has, because the kit reads them. */
import { PORTS } from '@plinth/contracts/ports';
import {
  ConfigFault,
  type Environment,
  readShape,
  rowOf,
  type SettingRow,
  type Shape,
  type Values,
  variableOf,
  withoutServiceLinks,
} from './environment.ts';
import { ACCESS_LOGS } from './http/access-log.ts';
import { LOG_LEVELS, type LogLevel } from './log.ts';
import { setting } from './setting.ts';

export const KIT_SETTINGS = {
  host: setting.text({ default: '127.0.0.1', description: 'Address to listen on; `0.0.0.0` for all.' }),
  port: setting.port({ description: 'Port to listen on; `0`: any free one.' }),
  logLevel: setting.enum({ words: LOG_LEVELS, default: 'info', description: 'The least level that is logged.' }),
  accessLog: setting.enum({
    words: ACCESS_LOGS,
    default: 'none',
    description:
      'HTTP requests that are logged, a line each: none, those answered 500 and above, all. Never those of `/healthz` and its like.',
  }),
  shutdownDelayMs: setting.duration({
    default: 0,
    max: 600_000,
    description: 'How long to keep serving after SIGTERM, until load balancers have noticed.',
  }),
  shutdownTimeoutMs: setting.duration({
    default: 25_000,
    min: 100,
    max: 3_600_000,
    description: 'The longest a stop may take, delay included; then the process exits with 1.',
  }),
  requestTimeoutMs: setting.duration({
    default: 300_000,
    min: 1_000,
    max: 86_400_000,
    description: 'The longest a request may take to arrive, body included.',
  }),
  inFlightMax: setting.int({
    default: 10_000,
    min: 1,
    max: 1_000_000,
    description: 'The most requests worked on at once; more are answered 503.',
  }),
  allowedHosts: setting.list({
    default: [],
    description: 'Names in `Host` that are served besides loopback ones. Empty and not on loopback: any.',
  }),
  allowedOrigins: setting.list({
    default: [],
    description: 'Web origins, `https://app.example.com`, whose pages may call this service.',
  }),
} as const;

/** Shared by all services: whoever calls several of them has one key. */
const API_SETTINGS = {
  rootKeyFile: setting.path({
    description: 'A file that holds a key which may do everything. This or the next set: callers need a key.',
  }),
  keysFile: setting.path({
    description:
      'A file of further keys, hashed, one a line, each with what it may do. Both are read anew when they change.',
  }),
} as const;

/** Shared by all services, since they meet on one bus. */
const NATS_SETTINGS = {
  url: setting.urls({
    schemes: ['nats', 'tls', 'ws', 'wss'],
    isSecret: true,
    description: 'The bus: one server, or several of one cluster. Not set: the service runs alone.',
  }),
  user: setting.text({ description: 'Who connects to the bus.' }),
  password: setting.text({ isSecret: true, description: 'The password of `NATS_USER`.' }),
  token: setting.text({ isSecret: true, description: 'Instead of user and password.' }),
  credentialsFile: setting.path({ description: 'A `.creds` file, read anew at each connect.' }),
  caFile: setting.path({ description: 'The authority that signed the certificate of the bus.' }),
} as const;

export type KitSettings = Omit<Values<typeof KIT_SETTINGS>, 'port'> & {
  port: number;
  api: Values<typeof API_SETTINGS>;
  nats: Values<typeof NATS_SETTINGS>;
};

/** Reads the kit's settings of one service. @throws ConfigFault as `Settings.read` does. */
export function readKitSettings(service: string, env: Environment): KitSettings {
  const faults: string[] = [];
  const { port, ...values } = readShape(service, KIT_SETTINGS, withoutServiceLinks(service, env), faults);
  const api = readShape('api', API_SETTINGS, env, faults);
  const nats = readShape('nats', NATS_SETTINGS, withoutServiceLinks('nats', env), faults);
  if (values.shutdownDelayMs >= values.shutdownTimeoutMs) {
    const [delay, timeout] = [variableOf(service, 'shutdownDelayMs'), variableOf(service, 'shutdownTimeoutMs')];
    faults.push(`${delay} is not below ${timeout}; the stop would be over before it began`);
  }
  if (faults.length > 0) throw new ConfigFault(faults);
  return { ...values, port: port ?? defaultPort(service), api, nats };
}

/** The level of the log that tells what is wrong with the settings: read alone, and `info` when it is wrong itself. */
export function logLevelOf(service: string, env: Environment): LogLevel {
  return KIT_SETTINGS.logLevel.parse(env[variableOf(service, 'logLevel')] ?? '') ?? 'info';
}

/** Rows for the table of settings in a service's README. */
export function kitSettingRows(service: string): SettingRow[] {
  const own = rowsOf(service, KIT_SETTINGS);
  const port = own.find(({ variable }) => variable === variableOf(service, 'port'))!;
  port.default = String(defaultPort(service));
  return [...own, ...rowsOf('api', API_SETTINGS), ...rowsOf('nats', NATS_SETTINGS)];
}

function rowsOf(prefix: string, shape: Shape): SettingRow[] {
  return Object.entries(shape).map(([property, told]) => rowOf(variableOf(prefix, property), told));
}

/** A service without a port of its own in the suite gets one from the system. */
function defaultPort(service: string): number {
  return (PORTS as Record<string, number>)[service] ?? 0;
}
