/** A service that stops while the server does not answer. */
import { expect, test } from '@jest/globals';
import { startTestNats } from '@plinth/testkit';
import { fixture, SERVICE } from '../test/fixture.ts';
import { connectBus } from './bus.ts';

test('a service stops in its time although the server answers nothing any more', async () => {
  const nats = await startTestNats();
  const bus = await connectBus({ url: nats.url, name: 'stopping' });
  const endpoint = await bus.serve(SERVICE, fixture().operations);
  const subscription = bus.subscribe('plinth.other.v1.events.>', () => {});
  await bus.flush();
  process.kill(nats.pid, 'SIGSTOP');
  try {
    const startedMs = performance.now();
    await endpoint.drain();
    await subscription.stop();
    await bus.close();
    // Two that were drained, and the last flush: 2 s each.
    expect(performance.now() - startedMs).toBeLessThan(9_000);
  } finally {
    process.kill(nats.pid, 'SIGCONT');
  }
});
