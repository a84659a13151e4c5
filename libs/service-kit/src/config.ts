/** The settings of a service, read once from the environment, all faults told at once. */
import { nearestName } from '@plinth/problem';
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
import { KIT_SETTINGS, type KitSettings, readKitSettings } from './kit-settings.ts';
import type { Setting } from './setting.ts';

/** What a service's settings are read as: `SettingsOf<typeof kvSettings>`. */
export type SettingsOf<T extends Settings> = ReturnType<T['read']>;

export interface Settings<S extends Shape = Shape> {
  /** The service: `kv`. */
  name: string;
  /**
   * Reads them. A variable that is absent or empty has its default; charts write `""` for "not set".
   *
   * @throws ConfigFault when a value is not allowed, or a variable begins as the service's do and means nothing.
   */
  read(env: Environment): Values<S>;
  rows(): SettingRow[];
}

/**
 * Says the settings of a service. Environment names follow from the property names: `settings('kv', { dataDir })`
 * reads `KV_DATA_DIR`.
 */
export function settings<S extends Shape>(name: string, shape: S): Settings<S> {
  for (const [property, { kind }] of Object.entries(shape)) assertUnit(property, kind);
  const known = [...Object.keys(shape), ...Object.keys(KIT_SETTINGS)].map((property) => variableOf(name, property));
  return {
    name,
    read: (env) => {
      const own = withoutServiceLinks(name, env);
      const faults = unknownNames(name, own, known);
      const values = readShape(name, shape, own, faults);
      if (faults.length > 0) throw new ConfigFault(faults);
      return values;
    },
    rows: () =>
      Object.entries(shape).map(([property, told]) => rowOf(told.variable ?? variableOf(name, property), told)),
  };
}

/** The settings as a Markdown table, for a README. */
export function settingsTable(rows: readonly SettingRow[]): string {
  const cells = (row: SettingRow) => [
    `\`${row.variable}\``,
    row.description,
    row.default && `\`${row.default}\``,
    row.allowed,
  ];
  const line = (columns: readonly string[]) => `| ${columns.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const head = ['Variable', 'Meaning', 'Default', 'Allowed'];
  return [line(head), '|---|---|---|---|', ...rows.map((row) => line(cells(row)))].join('\n');
}

/** Reads both, and tells the faults of both together. */
export function readBoth<Config>(
  service: string,
  env: Environment,
  readConfig: (env: Environment) => Config,
): { config: Config; kit: KitSettings } {
  const faults: string[] = [];
  const config = collect(faults, () => readConfig(env));
  const kit = collect(faults, () => readKitSettings(service, env));
  if (faults.length > 0) throw new ConfigFault(faults);
  return { config: config as Config, kit: kit as KitSettings };
}

function collect<T>(faults: string[], read: () => T): T | undefined {
  try {
    return read();
  } catch (fault) {
    if (!(fault instanceof ConfigFault)) throw fault;
    faults.push(...fault.faults);
    return undefined;
  }
}

function unknownNames(service: string, env: Environment, known: readonly string[]): string[] {
  const prefix = variableOf(service, '');
  return Object.keys(env)
    .filter((variable) => variable.startsWith(prefix) && !known.includes(variable))
    .map((variable) => {
      // The commonest mistake of all is a unit left out, and that is far by edits: KV_FLUSH for KV_FLUSH_MS.
      const nearest = known.find((name) => name.startsWith(`${variable}_`)) ?? nearestName(variable, known);
      return `${variable} is no setting of ${service}${nearest ? `; did you mean ${nearest}?` : ''}`;
    });
}

/** A number without a unit in its name is how 30 becomes thirty minutes. */
function assertUnit(property: string, kind: Setting<unknown>['kind']): void {
  if (kind === 'duration' && !/Ms(Max|Min)?$/.test(property)) throw new TypeError(`${property} must end in Ms`);
  if (kind === 'bytes' && !/Bytes(Max|Min)?$/.test(property)) throw new TypeError(`${property} must end in Bytes`);
}
