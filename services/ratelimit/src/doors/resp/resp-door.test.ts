import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually, seededRandom } from '@plinth/testkit';
import { Redis } from 'ioredis';
import { perMinute, type TestDecider, testDecider } from '../decider.fixture.ts';
import { RespDoor, type RespDoorOptions } from '../resp-door.ts';

const run = promisify(execFile);

let decider: TestDecider;
let door: RespDoor;
let port: number;
let redis: Redis;
/** Nothing comes back while a test counts. */
let nowUs = 1e9;

beforeAll(async () => {
  decider = testDecider([{ keys: ['user'], policy: perMinute(2) }, { keys: ['free'] }], () => nowUs);
  door = new RespDoor({ decider, host: '127.0.0.1', port: 0, version: '1.2.3' });
  port = await door.listen();
  redis = new Redis(port, '127.0.0.1');
});
beforeEach(() => {
  nowUs += 1e12;
  decider.delayMs = undefined;
  decider.degraded = undefined;
  decider.fault = undefined;
  decider.asked.length = 0;
});
afterAll(async () => {
  await redis.quit();
  await door.stop();
});

const throttle = (...args: (string | number)[]) => redis.call('CL.THROTTLE', ...args);

/** Five numbers, the first of which is this. */
const saying = (limited: number) => [limited, ...Array.from({ length: 4 }, () => expect.any(Number))];

/** A connection without a client: what is said, and what comes back. */
async function rawTo(to = port): Promise<{ socket: Socket; said: () => string; closed: () => boolean }> {
  const socket = connect(to, '127.0.0.1');
  let said = '';
  let isClosed = false;
  socket.on('data', (chunk) => {
    said += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    isClosed = true;
  });
  await once(socket, 'connect');
  return { socket, said: () => said, closed: () => isClosed };
}

/** All that comes back until the other side hangs up. */
async function exchange(text: string | Buffer, to = port): Promise<string> {
  const { socket, said } = await rawTo(to);
  socket.end(text);
  await once(socket, 'close');
  return said();
}

const array = (...words: (string | number)[]) =>
  `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`).join('')}`;

describe('CL.THROTTLE', () => {
  test('allows the burst and one more, then denies, in the five numbers of redis-cell', async () => {
    const answers = [];
    for (let at = 0; at < 4; at++) answers.push(await throttle('k', 2, 30, 60));
    expect(answers).toEqual([
      [0, 3, 2, -1, 2],
      [0, 3, 1, -1, 4],
      [0, 3, 0, -1, 6],
      [1, 3, 0, 2, 6],
    ]);
  });

  test('lets the next one in after exactly retry_after', async () => {
    await throttle('k', 0, 1, 10);
    expect(await throttle('k', 0, 1, 10)).toEqual([1, 1, 0, 10, 10]);
    nowUs += 9_800_000;
    expect(await throttle('k', 0, 1, 10)).toEqual([1, 1, 0, 1, 1]);
    nowUs += 200_000;
    expect(await throttle('k', 0, 1, 10)).toEqual([0, 1, 0, -1, 10]);
  });

  test('takes a quantity; of 0 it looks, and of more than there can be it says never', async () => {
    expect(await throttle('k', 9, 10, 60, 4)).toEqual([0, 10, 6, -1, 24]);
    expect(await throttle('k', 9, 10, 60, 0)).toEqual([0, 10, 6, -1, 24]);
    expect(await throttle('k', 9, 10, 60, 11)).toEqual([1, 10, 6, -1, 24]);
    expect(await throttle('k', 9, 10, 60)).toEqual([0, 10, 5, -1, 30]);
  });

  test('tells keys apart, and limits of one key', async () => {
    await throttle('a', 0, 1, 60);
    expect(await throttle('b', 0, 1, 60)).toEqual(saying(0));
    expect(await throttle('a', 0, 1, 61)).toEqual(saying(0));
    expect(await throttle('a', 0, 1, 60)).toEqual(saying(1));
  });

  test('tells limits apart whose words begin alike, also in lines', async () => {
    const lines = ['CL.THROTTLE k 0 1 600', 'CL.THROTTLE k 0 1 60', 'CL.THROTTLE k 0 1 600', 'CL.THROTTLE k 0 16 00'];
    const answers = (await exchange(`${lines.join('\r\n')}\r\n`)).split('*5\r\n').slice(1);
    expect(answers[0]).toBe(':0\r\n:1\r\n:0\r\n:-1\r\n:600\r\n');
    expect(answers[1]).toBe(':0\r\n:1\r\n:0\r\n:-1\r\n:60\r\n');
    expect(answers[2]).toMatch(/^:1\r\n:1\r\n:0\r\n:\d+\r\n:600\r\n-ERR period is 00; it must be a whole number/);
  });

  test('is known in any case, and its keys may be any text', async () => {
    expect(await redis.call('cl.Throttle', 'ключ', 0, 1, 60)).toEqual(saying(0));
    expect(await redis.call('Cl.tHROTTLE', 'ключ', 0, 1, 60)).toEqual(saying(1));
    expect(decider.asked[0]!.checks[0]).toMatchObject({
      domain: 'default',
      subjects: [{ entries: [{ value: 'ключ' }] }],
    });
  });

  test.each<[string, (string | number)[]]>([
    ["ERR wrong number of arguments for 'cl.throttle' command", ['k', 1, 2]],
    ["ERR wrong number of arguments for 'cl.throttle' command", ['k', 1, 2, 3, 4, 5]],
    ['ERR max_burst is -1; it must be a whole number from 0 to 999999999', ['k', -1, 1, 60]],
    ['ERR max_burst is empty; it must be a whole number from 0 to 999999999', ['k', '', 1, 60]],
    ['ERR count is 0; it must be a whole number from 1 to 1000000000', ['k', 1, 0, 60]],
    ['ERR count is 1.5; it must be a whole number from 1 to 1000000000', ['k', 1, 1.5, 60]],
    ['ERR period is 0; it must be a whole number from 1 to 31622400', ['k', 1, 1, 0]],
    ['ERR period is 31622401; it must be a whole number from 1 to 31622400', ['k', 1, 1, 31_622_401]],
    [
      'ERR period is 99999999999999999999; it must be a whole number from 1 to 31622400',
      ['k', 1, 1, '99999999999999999999'],
    ],
    ['ERR quantity is one; it must be a whole number from 0 to 1000000000', ['k', 1, 1, 60, 'one']],
    ['ERR limit is 100000000 in 1000 ms; the most is 10 in a microsecond', ['k', 1, 100_000_000, 1]],
    ['ERR key is empty', ['', 1, 1, 60]],
    ['ERR key is 2049 bytes; the most is 2048', ['k'.repeat(2_049), 1, 1, 60]],
  ])('is refused with %s', async (words, args) => {
    await expect(throttle(...args)).rejects.toThrow(words);
    expect(decider.asked).toEqual([]);
    expect(await redis.ping()).toBe('PONG');
  });

  test('refuses a key that is not UTF-8', async () => {
    const command = Buffer.from(array('CL.THROTTLE', 'xx', 1, 1, 60));
    command[command.indexOf('xx')] = 0xff;
    expect(await exchange(command)).toBe('-ERR key is not UTF-8\r\n');
  });
});

describe('CL.CHECK', () => {
  test('asks the rules of a domain', async () => {
    const answers = [];
    for (let at = 0; at < 3; at++) answers.push(await redis.call('CL.CHECK', 'api', 1, 'user', 'alice'));
    expect(answers).toEqual([
      [0, 2, 1, -1, 30],
      [0, 2, 0, -1, 60],
      [1, 2, 0, 30, 60],
    ]);
    expect(await redis.call('CL.CHECK', 'api', 0, 'user', 'alice')).toEqual([0, 2, 0, -1, 60]);
  });

  test('says -1 where nothing is limited', async () => {
    expect(await redis.call('CL.CHECK', 'api', 1, 'free', 'x')).toEqual([0, -1, -1, -1, 0]);
    expect(await redis.call('CL.CHECK', 'api', 1, 'nobody', 'x')).toEqual([0, -1, -1, -1, 0]);
  });

  test.each<[string, (string | number)[]]>([
    ["ERR wrong number of arguments for 'cl.check' command", ['api', 1]],
    ["ERR wrong number of arguments for 'cl.check' command", ['api', 1, 'user']],
    ['ERR a domain is 1–256 visible ASCII characters', ['a b', 1, 'user', 'x']],
    ['ERR cost is x; it must be a whole number from 0 to 1000000000', ['api', 'x', 'user', 'x']],
    ['ERR a key is empty', ['api', 1, '', 'x']],
    ['ERR a key is more than 256 bytes', ['api', 1, 'k'.repeat(257), 'x']],
  ])('is refused with %s', async (words, args) => {
    await expect(redis.call('CL.CHECK', ...args)).rejects.toThrow(words);
    expect(decider.asked).toEqual([]);
  });
});

describe('a pipeline', () => {
  test('is decided in one question and answered in one piece, in order', async () => {
    const text = [
      array('CL.THROTTLE', 'k', 0, 1, 60),
      array('PING'),
      array('CL.THROTTLE', 'k', 0, 1, 60),
      'nonsense\r\n',
    ];
    const answer =
      "*5\r\n:0\r\n:1\r\n:0\r\n:-1\r\n:60\r\n+PONG\r\n*5\r\n:1\r\n:1\r\n:0\r\n:60\r\n:60\r\n-ERR unknown command 'nonsense'\r\n";
    expect(await exchange(text.join(''))).toBe(answer);
    expect(decider.asked).toHaveLength(1);
  });

  test('of 5,000 is asked in pieces of 1,024 at the most, and counted exactly', async () => {
    const pipeline = redis.pipeline();
    for (let at = 0; at < 5_000; at++) pipeline.call('CL.THROTTLE', 'k', 999, 1, 60);
    const answers = (await pipeline.exec())!.map(([, answer]) => (answer as number[])[0]);
    expect(answers.filter((limited) => limited === 0)).toHaveLength(1_000);
    expect(Math.max(...decider.asked.map(({ checks }) => checks.length))).toBeLessThanOrEqual(1_024);
  });

  test('keeps its order when answers come late', async () => {
    decider.delayMs = 5;
    const { socket, said } = await rawTo();
    for (let at = 0; at < 20; at++) {
      socket.write(array('CL.THROTTLE', 'k', 99, 1, 60) + array('ECHO', `e${at}`));
      await sleep(1);
    }
    const expected = Array.from({ length: 20 }, (_, at) => `:${99 - at}|e${at}`);
    await eventually(() => said().includes('e19\r\n'));
    const found = [...said().matchAll(/\*5\r\n:0\r\n:100\r\n:(\d+)[^$]*\$\d+\r\n(e\d+)/g)].map(
      ([, left, word]) => `:${left}|${word}`,
    );
    expect(found).toEqual(expected);
    socket.destroy();
  });

  test('is answered though the client has said its last', async () => {
    decider.delayMs = 20;
    expect(await exchange(array('CL.THROTTLE', 'k', 0, 1, 60) + array('PING'))).toBe(
      '*5\r\n:0\r\n:1\r\n:0\r\n:-1\r\n:60\r\n+PONG\r\n',
    );
  });

  test('byte by byte is answered the same', async () => {
    const text = `${array('CL.THROTTLE', 'k', 0, 1, 60)}ping\r\n`;
    const { socket, said } = await rawTo();
    for (const byte of text) {
      socket.write(byte);
      await sleep(0);
    }
    await eventually(() => said() === '*5\r\n:0\r\n:1\r\n:0\r\n:-1\r\n:60\r\n+PONG\r\n');
    socket.destroy();
  });
});

describe('when it cannot be decided', () => {
  test('a store that is away is told where the rule says to deny', async () => {
    decider.degraded = 'closed';
    await expect(throttle('k', 0, 1, 60)).rejects.toThrow('UNAVAILABLE the limiter cannot decide now');
  });

  test('a bug is an error and not what it was, and the connection lives', async () => {
    decider.fault = new TypeError('secret');
    await expect(throttle('k', 0, 1, 60)).rejects.toThrow('ERR the limiter failed');
    decider.fault = undefined;
    expect(await throttle('k', 0, 1, 60)).toEqual(saying(0));
  });
});

describe('clients of Redis', () => {
  test('find what they say to make acquaintance', async () => {
    expect(await redis.info()).toContain('loading:0');
    expect(await redis.call('CLIENT', 'SETNAME', 'me')).toBe('OK');
    expect(await redis.call('CLIENT', 'GETNAME')).toBe('me');
    expect(await redis.call('CLIENT', 'SETINFO', 'LIB-NAME', 'x')).toBe('OK');
    expect(await redis.call('CLIENT', 'ID')).toEqual(expect.any(Number));
    expect(await redis.call('COMMAND', 'DOCS')).toEqual([]);
    expect(await redis.call('SELECT', 0)).toBe('OK');
    await expect(redis.call('SELECT', 1)).rejects.toThrow('ERR DB index is out of range');
    await expect(redis.call('CLIENT', 'KILL', 'x')).rejects.toThrow('ERR unknown subcommand');
    await expect(redis.call('GET', 'x')).rejects.toThrow("ERR unknown command 'GET'");
    await expect(redis.call('PING', 'a', 'b')).rejects.toThrow("ERR wrong number of arguments for 'ping' command");
    expect(await redis.call('HELLO', 2)).toEqual(expect.arrayContaining(['proto', 2, 'version', '1.2.3']));
    await expect(redis.call('HELLO', 4)).rejects.toThrow('NOPROTO unsupported protocol version');
    await expect(redis.call('HELLO', 2, 'WHAT')).rejects.toThrow("ERR Syntax error in HELLO option 'WHAT'");
  });

  test('may speak version 3', async () => {
    const answer = await exchange(array('HELLO', 3) + array('RESET') + array('QUIT') + array('PING'));
    expect(answer).toMatch(/^%7\r\n\$6\r\nserver\r\n.*\+RESET\r\n\+OK\r\n$/s);
  });

  test('redis-cli gets its answer', async () => {
    const found = await run('redis-cli', ['--version']).catch(() => undefined);
    if (found === undefined) return;
    const { stdout } = await run('redis-cli', ['-p', String(port), 'CL.THROTTLE', 'cli', '15', '30', '60', '1']);
    expect(stdout.trim().split('\n')).toEqual(['0', '16', '15', '-1', '2']);
  });
});

describe('bounds', () => {
  const doorWith = async (options: Partial<RespDoorOptions>, test: (to: number, other: RespDoor) => Promise<void>) => {
    const other = new RespDoor({ decider, host: '127.0.0.1', port: 0, graceMs: 200, ...options });
    await test(await other.listen(), other);
    await other.stop();
  };

  test('a client that breaks the protocol is told how, and loses its connection alone', async () => {
    expect(await exchange(`${array('PING')}*17\r\n`)).toBe(
      '+PONG\r\n-ERR Protocol error: invalid multibulk length: 17 arguments; the most is 16\r\n',
    );
    expect(await redis.ping()).toBe('PONG');
  });

  test('one connection more than there may be is told so', async () => {
    await doorWith({ connectionsMax: 2 }, async (to, other) => {
      const first = await rawTo(to);
      const second = await rawTo(to);
      await eventually(() => other.metrics().includes('resp_connections 2'));
      expect(await exchange('PING\r\n', to)).toBe('-ERR max number of clients reached\r\n');
      first.socket.destroy();
      await eventually(() => other.metrics().includes('resp_connections 1'));
      expect(await exchange('PING\r\n', to)).toBe('+PONG\r\n');
      second.socket.destroy();
    });
  });

  test('a client that does not read is not read from, and goes on where it was when it reads', async () => {
    const { socket, said } = await rawTo();
    socket.pause();
    const echoes = 5_000;
    const answered = () => Number(/resp_commands_total (\d+)/.exec(door.metrics())![1]);
    const before = answered();
    socket.write(array('ECHO', 'x'.repeat(4_000)).repeat(echoes));
    let latest = -1;
    await eventually(
      () => {
        const isStill = answered() === latest && latest > before;
        latest = answered();
        return isStill;
      },
      { intervalMs: 300 },
    );
    expect(answered() - before).toBeLessThan(echoes);
    socket.resume();
    await eventually(() => answered() - before === echoes && said().length === echoes * 4_009, { timeoutMs: 20_000 });
    socket.destroy();
  }, 30_000);

  test('a stranger may say nothing but who it is', async () => {
    const authenticate = (secret: string, user: string | undefined) => secret === 'open' && user !== 'mallory';
    await doorWith({ authenticate }, async (to) => {
      const said = [
        ['CL.THROTTLE', 'k', 0, 1, 60],
        ['PING'],
        ['AUTH', 'shut'],
        ['AUTH', 'mallory', 'open'],
        ['HELLO', 3],
      ];
      expect(await exchange(said.map((words) => array(...words)).join(''), to)).toBe(
        [
          '-NOAUTH Authentication required.',
          '-NOAUTH Authentication required.',
          '-WRONGPASS invalid username-password pair or user is disabled.',
          '-WRONGPASS invalid username-password pair or user is disabled.',
          '-NOAUTH HELLO must be called with the client already authenticated, or with AUTH in it',
          '',
        ].join('\r\n'),
      );
      expect(decider.asked).toEqual([]);
      const client = new Redis(to, '127.0.0.1', { password: 'open' });
      expect(await client.call('CL.THROTTLE', 'k', 0, 1, 60)).toEqual(saying(0));
      expect(await client.call('RESET')).toBe('RESET');
      await expect(client.call('CL.THROTTLE', 'k', 0, 1, 60)).rejects.toThrow('NOAUTH');
      client.disconnect();
      expect(await exchange(array('HELLO', 2, 'AUTH', 'me', 'open') + array('PING'), to)).toMatch(/\+PONG\r\n$/);
    });
  });

  test('random bytes harm nobody and count nothing', async () => {
    const random = seededRandom();
    const real = array('CL.THROTTLE', 'fuzz', 9, 10, 60);
    for (let round = 0; round < 200; round++) {
      // Without its last four bytes, or a byte of noise could be the one that it lacks.
      const bytes = Buffer.from(real.slice(0, random.int(real.length - 3)), 'latin1');
      const noise = Buffer.from(Array.from({ length: random.int(200) }, () => random.int(256)));
      const answer = await exchange(Buffer.concat([bytes, noise]));
      expect(answer).not.toContain('the limiter failed');
    }
    expect(await throttle('fuzz', 9, 10, 60, 0)).toEqual([0, 10, 10, -1, 0]);
  });
});

test('stopping answers what was asked, then hangs up', async () => {
  const other = new RespDoor({ decider, host: '127.0.0.1', port: 0, graceMs: 2_000 });
  const { socket, said, closed } = await rawTo(await other.listen());
  decider.delayMs = 50;
  socket.write(array('CL.THROTTLE', 'k', 0, 1, 60));
  await eventually(() => decider.asked.length === 1);
  await other.stop();
  await eventually(closed);
  expect(said()).toBe('*5\r\n:0\r\n:1\r\n:0\r\n:-1\r\n:60\r\n');
});

test('metrics count commands and verdicts', async () => {
  const other = new RespDoor({ decider, host: '127.0.0.1', port: 0 });
  const to = await other.listen();
  await exchange(array('CL.THROTTLE', 'k', 0, 1, 60).repeat(3) + array('PING'), to);
  expect(other.metrics()).toContain('plinth_ratelimit_resp_commands_total 4\n');
  expect(other.metrics()).toContain('plinth_ratelimit_resp_verdicts_total{verdict="denied"} 2\n');
  await other.stop();
});
