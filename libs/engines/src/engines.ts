/**
 * Engines: gets a nats-server, a Redis or Valkey and a Jaeger on any machine, and runs them.
 *
 * `up` and the tests use the same two calls each: `natsServer`, `redisServer`, `jaegerServer` find or fetch a binary,
 * `startNats`, `startRedis`, `startJaeger` run it on loopback. README.md lists the ways a binary is looked for, in order.
 */
export { type AcquireOptions, EngineUnavailable } from './acquire.ts';
export { chromiumBrowser } from './chromium.ts';
export type { Engine, EngineBinary, Progress } from './engine.ts';
export {
  answersQueries,
  isJaeger,
  type JaegerAddress,
  type JaegerOptions,
  jaegerServer,
  otlpUrlBeside,
  startJaeger,
} from './jaeger.ts';
export { LockFile, withLock } from './lock-file.ts';
export { type NatsOptions, natsServer, startNats } from './nats.ts';
export { assertPortFree, freePort, PortInUse, type PortOwner, portOwner } from './ports.ts';
export { isSameProcess, type ProcessIdentity, processIdentity } from './process-identity.ts';
export { type RedisOptions, redisServer, startRedis } from './redis.ts';
export type { EngineServer, Exit } from './server-process.ts';
