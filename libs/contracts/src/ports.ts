/** Every default port of the suite, in one place. All listen on loopback unless told otherwise. */
export const PORTS = {
  console: 7400,
  kv: 7401,
  ratelimit: 7402,
  queue: 7403,
  chat: 7404,
  logs: 7405,
  metrics: 7406,
  pubsub: 7407,
  ratelimitRls: 7412,
  ratelimitResp: 7422,
  nats: 7430,
  natsMonitor: 7431,
  redis: 7432,
} as const;
