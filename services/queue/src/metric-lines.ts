/** Lines in Prometheus' text format. */

/** Labels as they stand within the braces; '' for none. */
export type Sample = readonly [labels: string, value: number];

export const gauge = (name: string, help: string, samples: readonly Sample[]): string =>
  lines('gauge', name, help, samples);

/** The name ends in `_total`. */
export const counter = (name: string, help: string, samples: readonly Sample[]): string =>
  lines('counter', name, help, samples);

function lines(type: string, name: string, help: string, samples: readonly Sample[]): string {
  const full = `plinth_queue_${name}`;
  const values = samples.map(([labels, value]) => `${full}${labels === '' ? '' : `{${labels}}`} ${value}\n`);
  return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${values.join('')}`;
}
