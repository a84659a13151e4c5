/** The battery, on one replica and on three. */
import { withNats } from '@plinth/testkit';
import { describeBackend } from './backend.contract.ts';
import { startReplicas } from './owners/replicas.fixture.ts';

const nats = withNats();

for (const count of [1, 3]) {
  describeBackend(`owners, ${count === 1 ? 'one replica' : `asked by one of ${count} replicas`}`, async () => {
    const replicas = await startReplicas(nats.url, count, { bucket: `battery-${count}`, callMs: 1_000 });
    return {
      backend: replicas[0]!.backend,
      async stop() {
        for (const replica of replicas) await replica.stop();
      },
    };
  });
}
