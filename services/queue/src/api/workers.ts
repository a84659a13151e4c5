/** Workers that tell of themselves, and hear what they should do. */
import { queue as contract, json, type Served, serve } from '@plinth/contracts';
import type { Workers } from '../core/workers.ts';
import { workerOf } from './call.ts';
import { fault } from './fault.ts';

export interface WorkerRooms {
  workers: Pick<Workers, 'beat' | 'list' | 'order'>;
}

export function workerOperations({ workers }: WorkerRooms): Served[] {
  return [
    serve(contract.beat, (call) => {
      const { slots, used } = call.body;
      if (used > slots) throw fault('/used', `it is ${used}, of ${slots} slots`);
      return json(200, workers.beat(workerOf(call), call.body));
    }),
    serve(contract.listWorkers, (call) => json(200, { workers: workers.list(call.query.queue) })),
    serve(contract.quietWorker, (call) => json(200, workers.order(workerOf(call), 'quiet'))),
    serve(contract.terminateWorker, (call) => json(200, workers.order(workerOf(call), 'terminate'))),
  ];
}
