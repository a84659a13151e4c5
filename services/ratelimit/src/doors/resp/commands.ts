/** Commands beside those that decide: what clients of Redis say to make acquaintance. */
import type { Plan } from './plan.ts';
import type { RespReader } from './resp-reader.ts';
import { OK } from './resp-writer.ts';

/** What is known of a connection. */
export interface Acquaintance {
  readonly id: number;
  name: string;
  /** 2 or 3: how maps and nothing are written. */
  protocol: number;
  isKnown: boolean;
  isLeaving: boolean;
}

/** Whether a client may come in, by its password or API key. */
export type Authenticate = (secret: string, user: string | undefined) => boolean;

export interface Dialogue {
  readonly reader: RespReader;
  readonly plan: Plan;
  readonly client: Acquaintance;
  /** Undefined: nobody is asked. */
  readonly authenticate: Authenticate | undefined;
  readonly version: string;
}

const PONG = Buffer.from('+PONG\r\n');
const NONE = Buffer.from('*0\r\n');
const RESET = Buffer.from('+RESET\r\n');
const WRONG_PASSWORD = 'WRONGPASS invalid username-password pair or user is disabled.';

const integer = (value: number) => Buffer.from(`:${value}\r\n`);
const bulk = (text: string) => Buffer.from(`$${Buffer.byteLength(text)}\r\n${text}\r\n`);

/** Names in upper case; at the most so many arguments, the name included. */
const COMMANDS: Readonly<Record<string, { args: readonly [number, number]; run: (dialogue: Dialogue) => void }>> = {
  PING: { args: [1, 2], run: ({ reader, plan }) => plan.answer(reader.args === 2 ? echoed(reader) : PONG) },
  ECHO: { args: [2, 2], run: ({ reader, plan }) => plan.answer(echoed(reader)) },
  HELLO: { args: [1, 16], run: hello },
  AUTH: { args: [2, 3], run: auth },
  SELECT: { args: [2, 2], run: select },
  CLIENT: { args: [2, 16], run: client },
  COMMAND: { args: [1, 16], run: ({ plan }) => plan.answer(NONE) },
  INFO: { args: [1, 16], run: ({ plan, version }) => plan.answer(bulk(info(version))) },
  RESET: { args: [1, 1], run: reset },
  QUIT: { args: [1, 16], run: quit },
};
/** What may be said before `AUTH`. */
const FOR_STRANGERS = new Set(['AUTH', 'HELLO', 'QUIT', 'RESET']);

/** Runs what is no decision. */
export function runCommand(dialogue: Dialogue): void {
  const { reader, plan, client: who, authenticate } = dialogue;
  const name = reader.text(0).toUpperCase();
  if (authenticate !== undefined && !who.isKnown && !FOR_STRANGERS.has(name)) {
    plan.refuse('NOAUTH Authentication required.');
    return;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) plan.refuse(`ERR unknown command '${shown(reader.text(0))}'`);
  else if (reader.args < command.args[0] || reader.args > command.args[1]) refuseArity(plan, name);
  else command.run(dialogue);
}

export function refuseArity(plan: Plan, name: string): void {
  plan.refuse(`ERR wrong number of arguments for '${name.toLowerCase()}' command`);
}

function echoed({ bytes, starts, ends }: RespReader): Buffer {
  const said = bytes.subarray(starts[1], ends[1]);
  return Buffer.concat([Buffer.from(`$${said.length}\r\n`), said, Buffer.from('\r\n')]);
}

function auth({ reader, plan, client: who, authenticate }: Dialogue): void {
  const [user, secret] = reader.args === 3 ? [utf8(reader, 1), utf8(reader, 2)] : [undefined, utf8(reader, 1)];
  if (authenticate === undefined) {
    plan.refuse('ERR AUTH called, but nobody is asked for a password here');
    return;
  }
  if (admit(who, authenticate, secret, user)) plan.answer(OK);
  else plan.refuse(WRONG_PASSWORD);
}

/** A client that fails is a stranger again: whoever it was before. */
function admit(who: Acquaintance, authenticate: Authenticate, secret: string, user: string | undefined): boolean {
  who.isKnown = authenticate(secret, user);
  return who.isKnown;
}

/** `HELLO [protover [AUTH user password] [SETNAME name]]`. */
function hello({ reader, plan, client: who, authenticate, version }: Dialogue): void {
  const protocol = reader.args > 1 ? reader.text(1) : String(who.protocol);
  if (protocol !== '2' && protocol !== '3') {
    plan.refuse('NOPROTO unsupported protocol version');
    return;
  }
  let name: string | undefined;
  for (let arg = 2; arg < reader.args; ) {
    const option = reader.text(arg).toUpperCase();
    if (option === 'AUTH' && arg + 2 < reader.args) {
      const [user, secret] = [utf8(reader, arg + 1), utf8(reader, arg + 2)];
      if (authenticate !== undefined && !admit(who, authenticate, secret, user)) {
        plan.refuse(WRONG_PASSWORD);
        return;
      }
      arg += 3;
    } else if (option === 'SETNAME' && arg + 1 < reader.args) {
      name = reader.text(arg + 1);
      arg += 2;
    } else {
      plan.refuse(`ERR Syntax error in HELLO option '${shown(option)}'`);
      return;
    }
  }
  if (authenticate !== undefined && !who.isKnown) {
    plan.refuse('NOAUTH HELLO must be called with the client already authenticated, or with AUTH in it');
    return;
  }
  if (name !== undefined) who.name = name;
  who.protocol = Number(protocol);
  plan.answer(greeting(who, version));
}

function greeting({ id, protocol }: Acquaintance, version: string): Buffer {
  const facts: [string, Buffer][] = [
    ['server', bulk('plinth-ratelimit')],
    ['version', bulk(version)],
    ['proto', integer(protocol)],
    ['id', integer(id)],
    ['mode', bulk('standalone')],
    ['role', bulk('master')],
    ['modules', NONE],
  ];
  const head = protocol === 3 ? `%${facts.length}\r\n` : `*${facts.length * 2}\r\n`;
  return Buffer.concat([Buffer.from(head), ...facts.flatMap(([name, value]) => [bulk(name), value])]);
}

function select({ reader, plan }: Dialogue): void {
  if (reader.text(1) === '0') plan.answer(OK);
  else plan.refuse('ERR DB index is out of range');
}

function client({ reader, plan, client: who }: Dialogue): void {
  const what = reader.text(1).toUpperCase();
  if (what === 'SETNAME' && reader.args === 3) {
    who.name = reader.text(2);
    plan.answer(OK);
  } else if (what === 'SETINFO' && reader.args === 4) plan.answer(OK);
  else if (what === 'ID' && reader.args === 2) plan.answer(integer(who.id));
  else if (what === 'GETNAME' && reader.args === 2) plan.answer(bulk(who.name));
  else plan.refuse(`ERR unknown subcommand or wrong number of arguments for '${shown(reader.text(1))}'`);
}

function reset({ plan, client: who }: Dialogue): void {
  who.isKnown = false;
  who.protocol = 2;
  who.name = '';
  plan.answer(RESET);
}

function quit({ plan, client: who }: Dialogue): void {
  who.isLeaving = true;
  plan.answer(OK);
}

/** What clients look for before they begin: that nothing is loading, and a version. */
function info(version: string): string {
  const lines = ['# Server', 'redis_version:7.2.0', 'redis_mode:standalone', `plinth_ratelimit_version:${version}`];
  return `${[...lines, '# Persistence', 'loading:0', '# Replication', 'role:master'].join('\r\n')}\r\n`;
}

function utf8({ bytes, starts, ends }: RespReader, arg: number): string {
  return bytes.toString('utf8', starts[arg], ends[arg]);
}

function shown(text: string): string {
  return text.slice(0, 64).replace(/[^\x21-\x7e]/g, '?');
}
