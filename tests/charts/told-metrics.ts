/** Metrics that alerts and the dashboard of a chart name, beside those that its service tells. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './helm.ts';

export interface ToldMetrics {
  /** Lines that Prometheus would not read. */
  malformed: string[];
  /** Samples without a line that says what they are. */
  untyped: string[];
  /** Named by the chart, and not told. */
  unknown: string[];
  /** How many the chart names in each of its files. */
  named: number[];
}

const LINE = /^(# (HELP|TYPE) .*|[a-z0-9_]+(\{.*\})? [-+]?[0-9.eInf+-]+|)$/;
const NAMES = /\b(?:plinth|process|nodejs)_[a-z0-9_]+(?=\{)/g;

/** @param text - Of `/metrics`. */
export function toldMetrics(service: string, text: string): ToldMetrics {
  const told = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!));
  const samples = [...text.matchAll(/^(\w+)[ {]/gm)].map(([, name]) => name!);
  const named = ['alerts.yaml', `dashboards/${service}.json`].map((file) =>
    [...readFileSync(join(ROOT, 'charts', service, file), 'utf8').matchAll(NAMES)].map(([name]) => name!),
  );
  return {
    malformed: text.split('\n').filter((line) => !LINE.test(line)),
    untyped: samples.filter((name) => !told.has(name) && !told.has(name.replace(/_(bucket|sum|count)$/, ''))),
    unknown: named.flat().filter((name) => !told.has(name.replace(/_bucket$/, ''))),
    named: named.map(({ length }) => length),
  };
}
