/** The fixture as a process, for `run-service.test.ts`. What it is to do badly is in its environment. */
import { json, operationsOf, serve } from '@plinth/contracts';
import { z } from 'zod';
import { runService, setting, settings } from '../src/service-kit.ts';

const operation = operationsOf('fixture');
const fixtureSettings = settings('fixture', {
  mood: setting.text({ default: 'good', description: 'How it behaves.' }),
});
const slow = operation({
  name: 'slow',
  summary: 'Answer after 300 ms',
  method: 'GET',
  path: '/v1/slow',
  query: z.strictObject({}),
  body: { kind: 'none' },
  replies: [],
});
const bug = operation({ ...slow, name: 'bug', summary: 'Throw where nobody catches', path: '/v1/bug' });

await runService({
  name: 'fixture',
  readConfig: fixtureSettings.read,
  build: ({ mood }, { log }) => ({
    operations: [
      serve(slow, async () => {
        await new Promise((resolve) => setTimeout(resolve, 300));
        return json(200, 'done');
      }),
      serve(bug, () => {
        setImmediate(() => {
          throw new Error('nobody catches me');
        });
        return json(202, 'soon');
      }),
    ],
    notReady: () => undefined,
    stop: async () => {
      if (mood === 'stuck') await new Promise((resolve) => setTimeout(resolve, 60_000));
      log.info('last words');
    },
  }),
});
