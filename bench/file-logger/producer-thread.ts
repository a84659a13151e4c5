/** A worker thread that logs: for its cost, or until the process is killed. */
import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import { openLogger, type Place } from './loggers.ts';
import { type Farewell, fly, say } from './losing.ts';
import { produce, warmUp } from './producing.ts';

/** What a producer is started with. */
export interface ProducerData extends Place {
  name: string;
  /** With one, lines are logged to be lost, and are counted here. */
  farewell?: Farewell;
}

const { name, farewell, ...place } = workerData as ProducerData;
const port = parentPort!;
const logger = await openLogger(name, place);
if (farewell === undefined) {
  const warm = await warmUp(logger);
  port.postMessage(warm.calls);
  const [seconds] = (await once(port, 'message')) as [number];
  port.postMessage(await produce(logger, seconds, warm.perSecond));
} else {
  await say(logger);
  port.postMessage('ready');
  await once(port, 'message');
  await fly(logger, farewell);
  port.postMessage('said');
  // A server would wait for its next request.
  await once(port, 'message');
}
port.close();
