/**
 * Redis with the same durability, `appendfsync always`, for reference: it speaks RESP to redis-benchmark instead of
 * HTTP to wrk, so its figures stand beside the others without a ratio.
 */
import { connect } from 'node:net';
import { freePort } from '@plinth/engines';
import { withCpu } from '../cpu.ts';
import { type Program, runProgram } from '../program.ts';
import type { RedisPrograms } from '../redis-programs.ts';
import type { Server, Stage } from '../stage.ts';
import type { Opponent, Sample, Slot } from './opponent.ts';
import { parseRedisCsv } from './redis-report.ts';
import { KEYS, type Operation, VALUE_BYTES, valueFor } from './workload.ts';

/** redis-benchmark counts requests, not seconds: a slot is sized by the speed of the one before. */
const FIRST_REQUESTS = 2_000;
const COMMANDS_PER_WRITE = 1_000;

/** Starts Redis on an empty folder and enters it for the race. */
export async function enterRedis(stage: Stage, programs: RedisPrograms): Promise<Opponent> {
  const port = await freePort();
  const server = await startRedis(stage, programs.server, port);
  const requestsPerSecond = new Map<string, number>();
  const bear = async (slot: Slot): Promise<Sample> => {
    const pace = `${slot.operation} ${slot.connections}`;
    const requests = Math.ceil((requestsPerSecond.get(pace) ?? FIRST_REQUESTS) * slot.seconds);
    const sample = await withCpu(server.pid, () => runBenchmark(programs.benchmark, { ...slot, port, requests }));
    requestsPerSecond.set(pace, sample.perSecond);
    return { ...sample, requests };
  };
  const version = /v=(\S+)/.exec(await runProgram(programs.server, ['--version']))?.[1];
  return {
    name: 'redis',
    title: `redis ${version} (RESP, redis-benchmark)`,
    server,
    operations: ['put', 'get'],
    promise: (operation: Operation) => (operation === 'put' ? 'fsync: appendfsync always' : 'linearizable'),
    fill: () => storeAll(port),
    bear,
    // redis-benchmark fails by itself when an answer is an error.
    verify: async () => {},
  };
}

async function startRedis(stage: Stage, program: Program, port: number): Promise<Server> {
  const dir = await stage.emptyDir('redis');
  return stage.start({
    name: 'redis',
    program,
    args: [
      ['--port', String(port)],
      ['--bind', '127.0.0.1'],
      ['--dir', dir],
      ['--appendonly', 'yes'],
      ['--appendfsync', 'always'],
      ['--save', ''],
    ].flat(),
    url: `redis://127.0.0.1:${port}`,
    isReady: async () => (await converse(port, ['PING\r\n'])).startsWith('+PONG'),
  });
}

async function runBenchmark(
  program: Program,
  load: Slot & { port: number; requests: number },
): Promise<ReturnType<typeof parseRedisCsv>> {
  const { port, connections, requests, operation } = load;
  const size = ['-c', String(connections), '-n', String(requests), '-d', String(VALUE_BYTES), '-r', String(KEYS)];
  const test = ['-t', operation === 'put' ? 'set' : 'get', '--csv'];
  return parseRedisCsv(await runProgram(program, ['-h', '127.0.0.1', '-p', String(port), ...size, ...test]));
}

/** Stores the keys under the names redis-benchmark asks for. */
async function storeAll(port: number): Promise<void> {
  for (let first = 0; first < KEYS; first += COMMANDS_PER_WRITE) {
    const commands = Array.from({ length: COMMANDS_PER_WRITE }, (_, index) => setCommand(first + index));
    const answer = await converse(port, commands);
    if (answer !== '+OK\r\n'.repeat(commands.length)) throw new Error(`redis: not all SETs were answered with OK`);
  }
}

function setCommand(number: number): string {
  const key = `key:${String(number).padStart(12, '0')}`;
  return `SET ${key} "${valueFor(number, 'filled')}"\r\n`;
}

/** Sends commands at once and reads as many lines as there are commands. */
function converse(port: number, commands: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(commands.join('')));
    socket.setEncoding('utf8').on('error', reject);
    socket.on('close', () => reject(new Error('redis closed the connection')));
    socket.on('data', (text) => {
      answer += text;
      if (answer.split('\r\n').length > commands.length) {
        resolve(answer);
        socket.destroy();
      }
    });
  });
}
