/**
 * The settings of a service as a JSON schema, so that `helm install` refuses what the service would refuse at its start.
 * Read from the rows of its table of settings: what they say a value must be is written by service-kit in a few forms.
 */
import type { SettingRow } from '@plinth/service-kit';
import type { JsonSchema } from './values-file.ts';

/** A setting as a chart knows it: `checkpointBytes`. */
export interface ChartSetting extends SettingRow {
  property: string;
}

/** What the chart itself decides: where the service listens, and where its files are. */
const FIXED = /^(host|port|\w+(Host|Port)|dataDir|rulesDir)$/;

/** The settings that a chart leaves to its users. */
export function chartSettings(service: string, rows: readonly SettingRow[]): ChartSetting[] {
  const prefix = `${service.replaceAll('-', '_').toUpperCase()}_`;
  return rows
    .filter(({ variable }) => variable.startsWith(prefix))
    .map((row) => ({ ...row, property: camelCase(row.variable.slice(prefix.length)) }))
    .filter(({ property }) => !FIXED.test(property));
}

/** @param leftEmpty - Properties that may be empty, besides what the service says. */
export function settingsSchema(settings: readonly ChartSetting[], leftEmpty: readonly string[] = []): JsonSchema {
  const properties = settings.map((setting) => {
    const schema = propertySchema(setting);
    const mayBeEmpty = leftEmpty.includes(setting.property) && Array.isArray(schema.enum);
    return [setting.property, mayBeEmpty ? { ...schema, enum: ['', ...(schema.enum as string[])] } : schema];
  });
  return { type: 'object', properties: Object.fromEntries(properties), additionalProperties: false };
}

function propertySchema({ variable, description, default: standard, allowed }: ChartSetting): JsonSchema {
  const told = { description: `${description} ${standard === '' ? '' : `Default: ${standard}.`}`.trim() };
  const words = /^one of (.*)$/.exec(allowed)?.[1];
  if (words !== undefined) return { ...told, enum: words.split(', ') };
  if (allowed === 'true or false') return { ...told, type: 'boolean' };
  if (allowed.startsWith('words')) return { ...told, type: ['array', 'string'], items: { type: 'string' } };
  if (/^a (text|path|URL)/.test(allowed)) return { ...told, type: 'string' };
  if (/^(a whole number|a port)/.test(allowed)) return { ...told, type: 'integer', ...rangeOf(allowed) };
  // A number with a unit is a text, which a schema cannot measure; the service does at its start.
  const units = unitsOf(allowed);
  if (units === undefined) throw new Error(`${variable} must be "${allowed}", which charts cannot say yet`);
  return { ...told, type: ['integer', 'string'], pattern: `^[0-9]{1,15} ?(${units})$`, ...rangeOf(allowed) };
}

function unitsOf(allowed: string): string | undefined {
  if (allowed.startsWith('milliseconds')) return 'ms|s|m|h|d';
  return allowed.startsWith('bytes') ? 'B|KiB|MiB|GiB|TiB' : undefined;
}

function rangeOf(allowed: string): JsonSchema {
  const [, least, most] = /(?:from|of at least) ([\d,]+)(?: to ([\d,]+))?$/.exec(allowed) ?? [];
  const number = (text: string) => Number(text.replaceAll(',', ''));
  return { ...(least && { minimum: number(least) }), ...(most && { maximum: number(most) }) };
}

function camelCase(variable: string): string {
  return variable.toLowerCase().replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}
