/** From environment variables to typed values, by a shape of settings. */
import type { Setting } from './setting.ts';

export type Environment = Readonly<Record<string, string | undefined>>;
// biome-ignore lint/suspicious/noExplicitAny: a shape holds settings of every type.
export type Shape = Readonly<Record<string, Setting<any>>>;
export type Values<S extends Shape> = { -readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never };

/** One row of the table of settings. */
export interface SettingRow {
  variable: string;
  description: string;
  /** Empty: none. */
  default: string;
  allowed: string;
}

/** What is wrong with the environment: one line per fault, naming variable, value and what is allowed. */
export class ConfigFault extends Error {
  override name = 'ConfigFault';
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(faults.join('\n'));
    this.faults = faults;
  }
}

/** `kv`, `dataDir` → `KV_DATA_DIR`. */
export function variableOf(service: string, property: string): string {
  return `${service}_${property.replace(/[A-Z]/g, (letter) => `_${letter}`)}`.replaceAll('-', '_').toUpperCase();
}

/** The values of a shape; what is wrong with them is added to `faults`, and their values then mean nothing. */
export function readShape<S extends Shape>(service: string, shape: S, env: Environment, faults: string[]): Values<S> {
  const values: Record<string, unknown> = {};
  for (const [property, told] of Object.entries(shape)) {
    const variable = told.variable ?? variableOf(service, property);
    const text = env[variable]?.trim();
    values[property] = text ? told.parse(text) : told.defaultValue;
    if (text && values[property] === undefined) faults.push(badValue(variable, text, told));
  }
  return values as Values<S>;
}

export function rowOf(variable: string, told: Setting<unknown>): SettingRow {
  return { variable, description: told.description, default: told.defaultText, allowed: told.allowed };
}

function badValue(variable: string, text: string, told: Setting<unknown>): string {
  const shown = told.isSecret ? 'has a value that is not allowed' : `is ${JSON.stringify(text)}`;
  return `${variable} ${shown}; it must be ${told.allowed}`;
}

/**
 * Kubernetes puts variables for every Service of the namespace into each container, in the manner of Docker links: a
 * Service `kv` gives `KV_PORT=tcp://10.0.0.7:7401`. Our charts switch that off (`enableServiceLinks: false`); others
 * may not, and no one meant them as settings.
 */
export function withoutServiceLinks(service: string, env: Environment): Environment {
  const prefix = variableOf(service, '');
  const isLink = ([variable, value]: [string, string | undefined]) =>
    variable.startsWith(prefix) &&
    (/^(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$/.test(variable.slice(prefix.length)) ||
      (variable === `${prefix}PORT` && /^(tcp|udp|sctp):/.test(value ?? '')));
  return Object.fromEntries(Object.entries(env).filter((entry) => !isLink(entry)));
}
