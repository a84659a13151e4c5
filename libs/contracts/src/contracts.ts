export * as kv from './kv.ts';
export * from './operation.ts';
export { PORTS } from './ports.ts';
export * as queue from './queue.ts';
export * as ratelimit from './ratelimit.ts';
