/** Limits for programs: decided by the rate-limit service, with borrowed units, or in process. README.md shows it at work. */

export type { CheckAnswer, CheckRequest, LimitAnswer, PolicySpec } from '@plinth/contracts/ratelimit';
export type { AdmissionOptions, Permit } from './admission.ts';
export { type BullmqOptions, bullmq, type LimitedJob } from './bullmq.ts';
export type { LimitKey } from './check-form.ts';
export { type ClientAddress, type ClientAddressOptions, clientAddress, type RequestOrigin } from './client-address.ts';
export { type ExpressOptions, express, type LimitedRequest } from './express.ts';
export { ExpressRateLimitStore, type ExpressRateLimitStoreOptions } from './express-rate-limit-store.ts';
export { type FetchHandlerOptions, fetchHandler } from './fetch-handler.ts';
export { FlexibleLimiter, type FlexibleLimiterOptions, type FlexibleResult } from './flexible-limiter.ts';
export { type HeaderOptions, type HeaderStyle, limitHeaders, retryAfterMsOf } from './headers.ts';
export type { LeaseOptions } from './lease-book.ts';
export { limitProblem } from './limit-problem.ts';
export { type LimitedHandler, type NodeHttpOptions, nodeHttp } from './node-http.ts';
export {
  createRateLimiter,
  type DecisionOptions,
  type OnError,
  type Place,
  type RateLimiter,
  type RateLimiterLog,
  type RateLimiterOptions,
} from './rate-limiter.ts';
export type { RateLimiterCounts } from './rate-limiter-counts.ts';
export { byAddress, byApiKey, byHeader, firstOf, type Incoming, type KeyOf } from './request-key.ts';
export {
  type GuardedCall,
  guardWith,
  type ServiceGuard,
  type ServiceGuardOptions,
  serviceGuard,
} from './service-guard.ts';
export {
  type MessageOptions,
  type VerifyClient,
  type WebSocketLike,
  type WebSocketOptions,
  webSocket,
} from './web-socket.ts';
