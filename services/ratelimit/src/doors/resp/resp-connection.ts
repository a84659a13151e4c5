/**
 * One client of the Redis protocol. All commands that one read brings are decided in one question and answered in one
 * write. While a question waits for its answer, or the client does not read what it is told, nothing more is read from
 * it: so answers keep their order, and what a client can make us remember has a bound.
 */
import type { Socket } from 'node:net';
import type { Verdict } from '../../core/verdict.ts';
import type { Decider } from '../decider.ts';
import { type Acquaintance, type Authenticate, type Dialogue, refuseArity, runCommand } from './commands.ts';
import { Plan } from './plan.ts';
import { ProtocolError, RespReader } from './resp-reader.ts';
import type { RespWriter } from './resp-writer.ts';
import type { ThrottleChecks } from './throttle-checks.ts';
import type { ThrottlePolicies } from './throttle-policies.ts';

/** Commands that are decided together. */
const BATCH_MAX = 1_024;
/** Bytes of answers that wait for a client that does not read. */
const UNREAD_BYTES_MAX = 262_144;

/** What the connections of a door share. */
export interface Shared {
  readonly decider: Decider;
  readonly policies: ThrottlePolicies;
  readonly writer: RespWriter;
  /** Of all checks that `CL.THROTTLE` asks. */
  readonly domain: string;
  readonly checks: ThrottleChecks;
  readonly authenticate: Authenticate | undefined;
  readonly version: string;
  readonly counts: Counts;
}

export interface Counts {
  commands: number;
  allowed: number;
  denied: number;
  failures: number;
  protocolErrors: number;
}

export class RespConnection {
  readonly #socket: Socket;
  readonly #shared: Shared;
  readonly #reader = new RespReader();
  readonly #client: Acquaintance;
  /** Nothing is read: for a question, or until the client reads. */
  #isWaiting = false;
  #hasQuestion = false;

  constructor(socket: Socket, id: number, shared: Shared) {
    this.#socket = socket;
    this.#shared = shared;
    this.#client = { id, name: '', protocol: 2, isKnown: false, isLeaving: false };
    socket.on('data', (chunk: Buffer) => {
      this.#reader.push(chunk);
      this.#work();
    });
    socket.on('drain', () => this.#goOn());
    // A client may say its last and then listen: `printf … | nc`.
    socket.on('end', () => this.end());
    socket.on('error', () => socket.destroy());
  }

  /** Answers what has been asked, then hangs up. */
  end(): void {
    this.#client.isLeaving = true;
    if (!this.#isWaiting) this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Decides and answers all that has arrived, as far as it can without waiting. */
  #work(): void {
    while (!this.#isWaiting && !this.#client.isLeaving) {
      const plan = new Plan();
      this.#read(plan);
      if (plan.size === 0) return;
      this.#decide(plan);
    }
  }

  #read(plan: Plan): void {
    try {
      while (plan.size < BATCH_MAX && !this.#client.isLeaving && this.#reader.next()) this.#command(plan);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#shared.counts.protocolErrors += 1;
      plan.refuse(`ERR Protocol error: ${error.message}`);
      this.#client.isLeaving = true;
    }
    this.#shared.counts.commands += plan.size;
  }

  #command(plan: Plan): void {
    const reader = this.#reader;
    const { authenticate, policies, version } = this.#shared;
    const isKnown = authenticate === undefined || this.#client.isKnown;
    try {
      if (isKnown && isNamed(reader, CL_THROTTLE)) {
        if (reader.args === 5 || reader.args === 6) plan.throttle(reader, policies, this.#shared);
        else refuseArity(plan, 'cl.throttle');
      } else if (isKnown && isNamed(reader, CL_CHECK)) {
        if (reader.args >= 5 && reader.args % 2 === 1) plan.check(reader);
        else refuseArity(plan, 'cl.check');
      } else runCommand({ reader, plan, client: this.#client, authenticate, version } satisfies Dialogue);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      plan.refuse(`ERR ${error.message}`);
    }
  }

  #decide(plan: Plan): void {
    if (plan.checks.length === 0) {
      this.#answer(plan, []);
      return;
    }
    let verdicts: Verdict[] | Promise<Verdict[]>;
    try {
      verdicts = this.#shared.decider.check(plan.checks);
    } catch (error) {
      this.#answer(plan, error as Error);
      return;
    }
    if (!(verdicts instanceof Promise)) {
      this.#answer(plan, verdicts);
      return;
    }
    this.#hasQuestion = true;
    this.#wait();
    const answer = (late: Verdict[] | Error) => {
      this.#hasQuestion = false;
      this.#answer(plan, late);
      this.#goOn();
    };
    verdicts.then(answer, answer);
  }

  #answer(plan: Plan, verdicts: readonly Verdict[] | Error): void {
    const { writer, counts } = this.#shared;
    if (verdicts instanceof Error) counts.failures += plan.checks.length;
    else for (const { isAllowed } of verdicts) isAllowed ? counts.allowed++ : counts.denied++;
    plan.write(writer, verdicts);
    const bytes = writer.take();
    const socket = this.#socket;
    if (socket.destroyed || !socket.writable) return;
    if (this.#client.isLeaving) {
      socket.end(bytes);
      return;
    }
    socket.write(bytes);
    if (socket.writableLength > UNREAD_BYTES_MAX) this.#wait();
  }

  #wait(): void {
    this.#isWaiting = true;
    this.#socket.pause();
  }

  /** What was waited for is there: the verdicts, or the client has read. */
  #goOn(): void {
    if (!this.#isWaiting || this.#hasQuestion || this.#socket.writableLength > UNREAD_BYTES_MAX) return;
    this.#isWaiting = false;
    if (this.#client.isLeaving) this.#socket.end();
    this.#work();
    if (!this.#isWaiting && !this.#socket.destroyed) this.#socket.resume();
  }
}

const CL_THROTTLE = Buffer.from('cl.throttle');
const CL_CHECK = Buffer.from('cl.check');

/** Whether the command has a name, which is written in lower case here. */
function isNamed({ bytes, starts, ends }: RespReader, name: Buffer): boolean {
  const start = starts[0]!;
  const { length } = name;
  if (ends[0]! - start !== length) return false;
  for (let at = 0; at < length; at++) if ((bytes[start + at]! | 0x20) !== name[at]) return false;
  return true;
}
