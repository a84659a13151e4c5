import { describe, expect, test } from '@jest/globals';
import { readBoth } from './config.ts';
import { ConfigFault, kitSettingRows, setting, settings, settingsTable } from './service-kit.ts';

const kv = settings('kv', {
  dataDir: setting.path({ default: '/var/kv', description: 'The folder.' }),
  flushMs: setting.duration({ default: 1_000, min: 10, max: 60_000, description: 'How often.' }),
  segmentBytes: setting.bytes({ default: 65_536, min: 4_096, description: 'Size of a file.' }),
  snapshotsMax: setting.int({ default: 16, min: 1, max: 100, description: 'The most.' }),
  autoCreate: setting.bool({ default: true, description: 'Make buckets.' }),
  mode: setting.enum({ words: ['durable', 'cache'], default: 'durable', description: 'How | what.' }),
  origin: setting.url({ description: 'Where from.' }),
  peers: setting.list({ default: [], description: 'Who else.' }),
  rootKey: setting.text({ isSecret: true, description: 'The key.' }),
});
const secret = settings('kv', { rootUrl: setting.url({ isSecret: true, description: 'A URL with a password.' }) });

const faults = (read: () => unknown): readonly string[] => {
  try {
    read();
  } catch (error) {
    if (error instanceof ConfigFault) return error.faults;
    throw error;
  }
  return [];
};

describe('settings', () => {
  test('work with no environment at all', () => {
    expect(kv.read({})).toEqual({
      dataDir: '/var/kv',
      flushMs: 1_000,
      segmentBytes: 65_536,
      snapshotsMax: 16,
      autoCreate: true,
      mode: 'durable',
      origin: undefined,
      peers: [],
      rootKey: undefined,
    });
  });

  test('that are empty have their default, as charts write it', () => {
    expect(kv.read({ KV_FLUSH_MS: '', KV_MODE: ' ' })).toMatchObject({ flushMs: 1_000, mode: 'durable' });
  });

  test.each([
    [{ KV_DATA_DIR: '/data' }, { dataDir: '/data' }],
    [{ KV_FLUSH_MS: '10' }, { flushMs: 10 }],
    [{ KV_FLUSH_MS: '60000' }, { flushMs: 60_000 }],
    [{ KV_FLUSH_MS: '1m' }, { flushMs: 60_000 }],
    [{ KV_FLUSH_MS: '5s' }, { flushMs: 5_000 }],
    [{ KV_SEGMENT_BYTES: '64MiB' }, { segmentBytes: 67_108_864 }],
    [{ KV_SEGMENT_BYTES: '4096' }, { segmentBytes: 4_096 }],
    [{ KV_SNAPSHOTS_MAX: '1' }, { snapshotsMax: 1 }],
    [{ KV_AUTO_CREATE: 'no' }, { autoCreate: false }],
    [{ KV_AUTO_CREATE: '1' }, { autoCreate: true }],
    [{ KV_MODE: 'cache' }, { mode: 'cache' }],
    [{ KV_ORIGIN: 'https://a.example/x' }, { origin: 'https://a.example/x' }],
    [{ KV_PEERS: 'a, b,,c' }, { peers: ['a', 'b', 'c'] }],
  ])('%j is read as %j', (env, values) => {
    expect(kv.read(env)).toMatchObject(values);
  });

  test('a relative path counts from the working directory', () => {
    expect(kv.read({ KV_DATA_DIR: 'x' }).dataDir).toBe(`${process.cwd()}/x`);
  });

  test.each([
    ['KV_FLUSH_MS', '9', 'milliseconds, or a number with ms, s, m, h or d, from 10 to 60,000'],
    ['KV_FLUSH_MS', '60001', 'milliseconds, or a number with ms, s, m, h or d, from 10 to 60,000'],
    ['KV_FLUSH_MS', '1.5s', 'milliseconds, or a number with ms, s, m, h or d, from 10 to 60,000'],
    ['KV_FLUSH_MS', '5 minutes', 'milliseconds, or a number with ms, s, m, h or d, from 10 to 60,000'],
    ['KV_SEGMENT_BYTES', '4095', 'bytes, or a number with KiB, MiB or GiB, of at least 4,096'],
    ['KV_SEGMENT_BYTES', '1GB', 'bytes, or a number with KiB, MiB or GiB, of at least 4,096'],
    ['KV_SNAPSHOTS_MAX', '0', 'a whole number from 1 to 100'],
    ['KV_SNAPSHOTS_MAX', '1e2', 'a whole number from 1 to 100'],
    ['KV_AUTO_CREATE', 'maybe', 'true or false'],
    ['KV_AUTO_CREATE', 'constructor', 'true or false'],
    ['KV_MODE', 'Durable', 'one of durable, cache'],
    ['KV_ORIGIN', 'ftp://x', 'a URL that begins with http:// or https://'],
    ['KV_ORIGIN', 'localhost', 'a URL that begins with http:// or https://'],
  ])('%s=%s is refused in one line', (variable, value, allowed) => {
    expect(faults(() => kv.read({ [variable]: value }))).toEqual([`${variable} is "${value}"; it must be ${allowed}`]);
  });

  test('all faults are told at once, those of the kit with them', () => {
    const env = {
      KV_FLUSH_MS: 'x',
      KV_MODE: 'y',
      KV_PORT: '65536',
      KV_LOG_LEVEL: 'loud',
      KV_HOSTT: 'a',
      NATS_URL: 'http://a',
    };
    expect(faults(() => readBoth('kv', env, kv.read))).toHaveLength(6);
  });

  test('a name that means nothing stops the start and suggests the nearest', () => {
    expect(faults(() => kv.read({ KV_DATADIR: '/x' }))).toEqual([
      'KV_DATADIR is no setting of kv; did you mean KV_DATA_DIR?',
    ]);
    expect(faults(() => kv.read({ KV_FLUSH: '1' }))).toEqual([
      'KV_FLUSH is no setting of kv; did you mean KV_FLUSH_MS?',
    ]);
    expect(faults(() => kv.read({ KV_ZZZZZZZZZZZZZZZZ: '/x' }))).toEqual(['KV_ZZZZZZZZZZZZZZZZ is no setting of kv']);
  });

  test('names of the kit and of other services are not unknown', () => {
    expect(
      faults(() => kv.read({ KV_PORT: '1', KV_SHUTDOWN_DELAY_MS: '1', KVX_A: '1', QUEUE_X: '1', PATH: '/' })),
    ).toEqual([]);
  });

  test('what Kubernetes puts there for a Service of the same name is not taken for settings', () => {
    const links = {
      KV_PORT: 'tcp://10.0.0.7:7401',
      KV_SERVICE_HOST: '10.0.0.7',
      KV_SERVICE_PORT: '7401',
      KV_SERVICE_PORT_HTTP: '7401',
      KV_PORT_7401_TCP: 'tcp://10.0.0.7:7401',
      KV_PORT_7401_TCP_PROTO: 'tcp',
    };
    expect(readBoth('kv', links, kv.read).kit.port).toBe(7_401);
  });

  test('a secret is in no fault', () => {
    expect(faults(() => secret.read({ KV_ROOT_URL: 'hunter2' })).join()).not.toContain('hunter2');
  });

  test('a duration or size whose name has no unit cannot be made', () => {
    expect(() => settings('kv', { flush: setting.duration({ description: '' }) })).toThrow('must end in Ms');
    expect(() => settings('kv', { segment: setting.bytes({ description: '' }) })).toThrow('must end in Bytes');
  });
});

describe('the settings of the kit', () => {
  test('have the port of the suite, or a free one for a service outside of it', () => {
    expect(readBoth('kv', {}, () => ({})).kit).toMatchObject({
      host: '127.0.0.1',
      port: 7_401,
      shutdownTimeoutMs: 25_000,
    });
    expect(readBoth('fixture', {}, () => ({})).kit.port).toBe(0);
  });

  test('refuse a delay that leaves no time to stop', () => {
    const read = (KV_SHUTDOWN_DELAY_MS: string) => () =>
      readBoth('kv', { KV_SHUTDOWN_DELAY_MS, KV_SHUTDOWN_TIMEOUT_MS: '1000' }, () => ({}));
    expect(faults(read('999'))).toEqual([]);
    expect(faults(read('1000'))).toHaveLength(1);
  });

  test('take several servers of one bus', () => {
    const url = 'nats://a:4222,nats://b:4222';
    expect(readBoth('kv', { NATS_URL: url }, () => ({})).kit.nats.url).toBe(url);
    expect(faults(() => readBoth('kv', { NATS_URL: 'nats://u:hunter2@a,oops' }, () => ({}))).join()).not.toContain(
      'hunter2',
    );
  });
});

describe('API keys', () => {
  const filesOf = (env: Record<string, string>) => readBoth('kv', env, () => ({})).kit.api;

  test('are the same for every service, and off when nothing is set, as charts write it', () => {
    expect(filesOf({ API_ROOT_KEY_FILE: '/keys/root', API_KEYS_FILE: '/keys/more' })).toEqual({
      rootKeyFile: '/keys/root',
      keysFile: '/keys/more',
    });
    expect(filesOf({ API_ROOT_KEY_FILE: '', API_KEYS_FILE: '' })).toEqual({});
  });

  test('have their rows in the table of each service', () => {
    const rows = kitSettingRows('queue').map(({ variable }) => variable);
    expect(rows.filter((variable) => variable.startsWith('API_'))).toEqual(['API_ROOT_KEY_FILE', 'API_KEYS_FILE']);
  });
});

describe('the table of settings', () => {
  test('has a row for each, and escapes what would break it', () => {
    const lines = settingsTable(kv.rows()).split('\n');
    expect(lines).toHaveLength(2 + 9);
    expect(lines).toContain('| `KV_MODE` | How \\| what. | `durable` | one of durable, cache |');
    expect(lines).toContain('| `KV_ORIGIN` | Where from. |  | a URL that begins with http:// or https:// |');
  });

  test('names the port of the service among those of the kit', () => {
    expect(kitSettingRows('kv').find(({ variable }) => variable === 'KV_PORT')?.default).toBe('7401');
  });
});
