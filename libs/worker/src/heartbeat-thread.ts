/** The thread of the heartbeat: a connection of its own, and `Heartbeat`. See `heartbeat.ts` for why. */
import { parentPort, workerData } from 'node:worker_threads';
import type { ClientOptions } from '@plinth/client';
import { Heartbeat, type HeartbeatPlan, type ThreadControl, type ThreadOrder } from './heartbeat.ts';
import { openDoor } from './queue-door.ts';

export interface ThreadData {
  /** `hasKey`: one will be told, and no call is made before. */
  connection: ClientOptions;
  hasKey: boolean;
  plan: HeartbeatPlan;
  pulse: Int32Array;
}

const { connection, hasKey, plan, pulse } = workerData as ThreadData;
const port = parentPort!;

let key = Promise.withResolvers<string>();
const door = openDoor(hasKey ? ({ ...connection, apiKey: () => key.promise } as ClientOptions) : connection);
const heartbeat = new Heartbeat({
  door,
  plan,
  pulse,
  tell: (note) => port.postMessage(note),
  now: () => performance.now(),
  random: Math.random,
});

port.on('message', (order: ThreadOrder | ThreadControl) => {
  if ('end' in order) process.exit();
  else if ('apiKey' in order) takeKey(order.apiKey);
  else heartbeat.obey(order);
});

function takeKey(apiKey: string): void {
  key.resolve(apiKey);
  key = Promise.withResolvers();
  key.resolve(apiKey);
}

heartbeat.start();
