/** The boards: one to look at, one to work with, of the same queues. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import type { Queue } from 'bullmq';

const KINDS = ['readOnly', 'writable'] as const;
export type BoardKind = (typeof KINDS)[number];

export interface ShownBoard {
  /** From now on these queues are there, and no others. */
  show(queues: readonly string[]): void;
  answer(kind: BoardKind, req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void): void;
}

/** What BullMQ would do behind the back of the service, which has a word for it of its own. */
const ELSEWHERE: Record<string, string> = {
  '/api/queues/:queueName/obliterate': 'a queue is removed with DELETE /v1/queues/{queue}',
  '/api/queues/:queueName/concurrency': 'limits are set with PUT /v1/queues/{queue}',
  '/api/queues/:queueName/rate-limit': 'limits are set with PUT /v1/queues/{queue}',
};

/** @param nativeQueue - Makes one of the lane's connection: it is never closed here. */
export function openBullBoard(path: string, nativeQueue: (queue: string) => Queue): ShownBoard {
  const boards = { readOnly: makeBoard(path), writable: makeBoard(path) };
  const shown = new Map<string, Record<BoardKind, BullMQAdapter>>();
  function adaptersOf(queue: string): Record<BoardKind, BullMQAdapter> {
    const native = nativeQueue(queue);
    const options = { displayName: queue };
    return {
      readOnly: new BullMQAdapter(native, { ...options, readOnlyMode: true }),
      writable: new BullMQAdapter(native, options),
    };
  }
  return {
    show(queues) {
      const now = new Set(queues);
      for (const queue of shown.keys()) if (!now.has(queue)) shown.delete(queue);
      for (const queue of queues) if (!shown.has(queue)) shown.set(queue, adaptersOf(queue));
      for (const kind of KINDS) boards[kind].replace(queues.map((queue) => shown.get(queue)![kind]));
    },
    answer: (kind, req, res, next) => boards[kind].app(req, res, next),
  };
}

function makeBoard(path: string): { app: BoardApp; replace(adapters: BullMQAdapter[]): void } {
  const serverAdapter = new ExpressAdapter();
  serverAdapter.setBasePath(path);
  const { replaceQueues } = createBullBoard({
    queues: [],
    serverAdapter,
    options: {
      uiConfig: {
        boardTitle: 'Standard queues',
        miscLinks: [{ text: 'All queues', url: '/' }],
        hideDocsLink: true,
        // They cost a list of all clients of Redis for each queue, and workers of ours are none of them.
        showWorkers: false,
      },
      handlerHooks: {
        before: ({ method, route }) => {
          const message = method === 'get' ? undefined : ELSEWHERE[route];
          if (message !== undefined) return { allow: false, status: 403, message };
        },
      },
    },
  });
  const app = serverAdapter.getRouter() as BoardApp;
  app.disable('x-powered-by');
  fromHereAlone(app);
  return { app, replace: replaceQueues };
}

type Render = (path: string, options: object, callback: (error: unknown, html?: string) => void) => void;

/** What is needed of the Express app that it makes. */
interface BoardApp {
  (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void): void;
  disable(setting: string): void;
  /** By the ends of names: `.ejs`. */
  engines: Record<string, Render>;
  engine(end: string, render: Render): void;
}

/** Its page asks a server of somebody else for fonts; with those of the system it is as good. */
function fromHereAlone(app: BoardApp): void {
  const render = app.engines['.ejs']!;
  app.engine('ejs', (path, options, callback) =>
    render(path, options, (error, html) => callback(error, html?.replace(/<link[^>]+href="https?:[^>]*>\s*/g, ''))),
  );
}
