/** Everything that is not hot, behind Express: operations in order of specificity, mounts, what is at no address. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import express, { type ErrorRequestHandler, type Express } from 'express';
import type { MountDoor } from './mount-door.ts';
import { withoutCaptures } from './path-template.ts';
import type { Route, Router } from './router.ts';

export interface LaneDoors {
  serve(route: Route, req: IncomingMessage, res: ServerResponse): void;
  nothingHere(req: IncomingMessage, res: ServerResponse): void;
  failed(error: unknown, req: IncomingMessage, res: ServerResponse): void;
}

/** Makes the Express app of a service. */
export function expressLane(router: Router, mounts: readonly MountDoor[], doors: LaneDoors): Express {
  const app = express();
  // Headers that Express would add: what runs here is nobody's business, and ETags are the operations' own.
  app.disable('x-powered-by').disable('etag');
  for (const route of router.routes.filter(({ operation }) => !operation.hot)) {
    const method = route.operation.method.toLowerCase() as 'get';
    app[method](withoutCaptures(route.template), (req, res) => doors.serve(route, req, res));
  }
  for (const mount of mounts) app.use(mount.path, (req, res, next) => mount.serve(req, res, next));
  app.use((req, res) => doors.nothingHere(req, res));
  const onError: ErrorRequestHandler = (error, req, res, _next) => doors.failed(error, req, res);
  app.use(onError);
  return app;
}
