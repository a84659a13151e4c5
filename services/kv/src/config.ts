/** The settings of the key-value store. The kit adds host, port, log level and the like. */
import { bucketSettings } from '@plinth/contracts/kv';
import { type SettingsOf, setting, settings } from '@plinth/service-kit';

export const kvSettings = settings('kv', {
  dataDir: setting.path({
    default: '.plinth/data/kv',
    description: 'The folder that holds everything. A local disk: not NFS.',
  }),
  autoCreateBuckets: setting.bool({
    default: true,
    description: 'The first write to a missing bucket makes it, with default settings.',
  }),
  cacheBytes: setting.bytes({
    default: 128 * 1_048_576,
    min: 0,
    max: 64 * 1_073_741_824,
    description: 'What is kept in memory once it was used: half for rows, half for the entries of pages.',
  }),
  checkpointBytes: setting.bytes({
    default: 64 * 1_048_576,
    min: 65_536,
    max: 1_073_741_824,
    description: 'Move the log into the store when so much has gathered. Larger: less writing, more memory.',
  }),
  checkpointIntervalMs: setting.duration({
    default: 5_000,
    min: 10,
    max: 600_000,
    description: 'Move the log into the store at the latest this long after a write.',
  }),
  pendingBytesMax: setting.bytes({
    default: 256 * 1_048_576,
    min: 1_048_576,
    max: 8 * 1_073_741_824,
    description: 'Refuse writes when a full or slow disk has let so much gather in memory.',
  }),
  logSegmentBytes: setting.bytes({
    default: 64 * 1_048_576,
    min: 1_048_576,
    max: 1_073_741_824,
    description: 'Size of one file of the log.',
  }),
  commitTimeoutMs: setting.duration({
    default: 10_000,
    min: 100,
    max: 300_000,
    description: 'How long the disk may take before the outcome of a write is called unknown.',
  }),
  watchHeartbeatMs: setting.duration({
    default: 15_000,
    min: 100,
    max: 600_000,
    description: 'A quiet watch says where it stands this often.',
  }),
  watchStallMs: setting.duration({
    default: 30_000,
    min: 100,
    max: 600_000,
    description: 'A watch whose reader takes nothing for so long is cut off.',
  }),
  watchersMax: setting.int({
    default: 10_000,
    min: 1,
    max: 1_000_000,
    description: 'The most watches and long polls at a time.',
  }),
  snapshotsMax: setting.int({ default: 16, min: 1, max: 1_000, description: 'The most snapshots kept.' }),
});

export type KvConfig = SettingsOf<typeof kvSettings>;

/** What a bucket is like that nobody has described. */
export const DEFAULT_BUCKET = bucketSettings.parse({});
