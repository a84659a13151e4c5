/**
 * The key-value store, put together. Read it from top to bottom: the folder is taken, the engines open and catch up
 * with their logs, the catalog says which bucket lives where, the doors open. It stops in exactly the reverse order.
 */
import type { Kit, Service, ServiceDefinition } from '@plinth/service-kit';
import { Waker } from './api/waker.ts';
import { bodyBytesMax, operations } from './api.ts';
import { ChangeNotices } from './bus.ts';
import { commitSpans } from './commit-spans.ts';
import { DEFAULT_BUCKET, type KvConfig, kvSettings } from './config.ts';
import { Catalog } from './core/catalog.ts';
import { Engines } from './engines.ts';
import { metrics } from './metrics.ts';
import { Snapshots } from './snapshots.ts';
import { DataFolder } from './store/data-folder.ts';

export const kvService: ServiceDefinition<KvConfig> = {
  name: 'kv',
  description: 'Ordered, watchable, durable key-value store',
  readConfig: kvSettings.read,
  build,
};

export async function build(config: KvConfig, kit: Kit): Promise<Service> {
  const { log, now } = kit;
  const report = (what: string, error: unknown) => log.error(`${what} failed`, { error: String(error) });

  const folder = await DataFolder.open(config.dataDir);
  const engines = await Engines.open({ folder, config, now, observer: commitSpans, report });
  const firstWrite = config.autoCreateBuckets ? DEFAULT_BUCKET : undefined;
  const catalog = await Catalog.open({ engines, firstWrite });
  const snapshots = new Snapshots({ folder, engines, catalog: () => catalog, now, max: config.snapshotsMax });
  const waker = new Waker(config.watchersMax);
  const notices = kit.bus && new ChangeNotices(kit.bus, catalog);

  return {
    operations: operations({ config, catalog, snapshots, waker, now }),
    notReady: () => engines.notReady(),
    // Over HTTP it is the same store; only those who ask over the bus have to wait.
    worksWithoutBus: true,
    metrics: () => metrics(engines, catalog, () => waker.count),
    describe: () => ({ backend: 'LMDB behind a local log', dataDir: config.dataDir }),
    bodyBytesMax,
    drain: () => waker.end(),
    async stop() {
      notices?.stop();
      await engines.stop();
      await folder.close();
    },
  };
}
