/** What `/metrics` says of the store, in Prometheus' text format. */
import type { Catalog } from './core/catalog.ts';
import type { Engines } from './engines.ts';

type Sample = [labels: string, value: number];

export function metrics(engines: Engines, catalog: Catalog, watchers: () => number): string {
  const perEngine = [...engines.all].map(([policy, engine]) => [`{engine="${policy}"}`, engine] as const);
  const perBucket = catalog.list().map(({ name, bucket }) => [`{bucket="${name}"}`, bucket] as const);
  return [
    gauge(
      'revision',
      'The last revision given.',
      perEngine.map(([labels, { machine }]) => [labels, machine.revision]),
    ),
    gauge(
      'waiting_writes',
      'Writes that wait for a commit.',
      perEngine.map(([labels, each]) => [labels, each.waiting]),
    ),
    gauge(
      'pending_bytes',
      'Bytes in memory that are in the log but not yet in the store.',
      perEngine.map(([labels, { store }]) => [labels, store.pendingBytes]),
    ),
    gauge(
      'bucket_keys',
      'Live keys.',
      perBucket.map(([labels, { keys }]) => [labels, keys]),
    ),
    gauge(
      'bucket_bytes',
      'Bytes of live keys and values.',
      perBucket.map(([labels, { bytes }]) => [labels, bytes]),
    ),
    gauge(
      'bucket_past_versions',
      'Superseded versions kept.',
      perBucket.map(([labels, { pastVersions }]) => [labels, pastVersions]),
    ),
    gauge(
      'bucket_compacted_revision',
      'Reads from before it answer 410.',
      perBucket.map(([labels, { compactedRevision }]) => [labels, compactedRevision]),
    ),
    gauge('watchers', 'Open watches and long polls.', [['', watchers()]]),
  ].join('');
}

function gauge(name: string, help: string, samples: Sample[]): string {
  const full = `plinth_kv_${name}`;
  const lines = samples.map(([labels, value]) => `${full}${labels} ${value}\n`);
  return `# HELP ${full} ${help}\n# TYPE ${full} gauge\n${lines.join('')}`;
}
