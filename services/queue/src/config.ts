/** The settings of the task queue. The kit adds host, port, log level and the like. */
import { LANES } from '@plinth/contracts/queue';
import { type SettingsOf, setting, settings } from '@plinth/service-kit';

export const queueSettings = settings('queue', {
  redisUrl: setting.text({
    variable: 'REDIS_URL',
    isSecret: true,
    default: 'redis://127.0.0.1:6379',
    description: 'One Redis or Valkey, `redis+sentinel://a:1,b:2/name` or `redis+cluster://a:1,b:2`.',
  }),
  redisPassword: setting.text({
    variable: 'REDIS_PASSWORD',
    isSecret: true,
    description: 'Its password, if that is not in the URL.',
  }),
  prefix: setting.text({
    default: 'plinth:q:',
    description: 'What all keys in Redis begin with, but for those of BullMQ.',
  }),
  bullPrefix: setting.text({
    default: 'bull',
    description: 'What BullMQ’s keys begin with: native clients of the lane `standard` are told the same.',
  }),
  lane: setting.enum({
    words: LANES,
    default: 'fast',
    description: 'The lane of queues that their first job makes: our own scripts, or BullMQ. It never changes later.',
  }),
  unsafe: setting.bool({
    default: false,
    description: 'Start although Redis may throw jobs away when its memory is full (`maxmemory-policy`).',
  }),
  redisTimeoutMs: setting.duration({
    default: 5_000,
    min: 100,
    max: 60_000,
    description: 'How long Redis may take for an answer; then the outcome of a change is not known.',
  }),
  waitersMax: setting.int({
    default: 10_000,
    min: 1,
    max: 1_000_000,
    description: 'The most requests that wait for jobs here at a time; some 2 KB each.',
  }),
  committingMax: setting.int({
    default: 20_000,
    min: 1_000,
    max: 1_000_000,
    description: 'The most jobs of one queue that wait to be committed; more are answered `overloaded`.',
  }),
  queuesMax: setting.int({ default: 10_000, min: 1, max: 1_000_000, description: 'The most queues.' }),
  allowPrivateTargets: setting.bool({
    default: false,
    description: 'Webhooks and callbacks may go to private, loopback and link-local addresses too.',
  }),
  callbackSecret: setting.text({
    isSecret: true,
    default: '',
    description: 'Signs callbacks of queues without a push secret (`whsec_…`). Empty: those go unsigned.',
  }),
  resultsToKv: setting.bool({
    default: true,
    description: 'Results are written to the key-value store where jobs ask for it (`resultTo`), over the bus.',
  }),
  traceUrl: setting.url({
    variable: 'TRACE_URL',
    description: 'Where people look at a trace, `http://localhost:16686/trace/{traceId}`: jobs on the page link to it.',
  }),
  events: setting.bool({
    default: true,
    description: 'What becomes of jobs is told on the bus, as CloudEvents.',
  }),
});

export type QueueConfig = SettingsOf<typeof queueSettings>;
