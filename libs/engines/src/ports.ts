/** TCP ports: a free one, and a clear word about one that is taken. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { runCommand } from './command.ts';

/** The process that listens on a port. */
export interface PortOwner {
  pid: number;
  command: string;
}

/** A port that something else listens on. The message names the port, and its owner if that could be told. */
export class PortInUse extends Error {
  readonly port: number;
  readonly owner: PortOwner | undefined;

  constructor(port: number, owner: PortOwner | undefined) {
    super(`port ${port} is in use${owner ? ` by pid ${owner.pid} (${owner.command})` : ''}`);
    this.name = 'PortInUse';
    this.port = port;
    this.owner = owner;
  }
}

/** A TCP port that was free a moment ago. Another process may take it first, so be ready to ask again. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  const port = await listenOnce(0, host);
  return port ?? freePort(host);
}

/** @throws PortInUse when something listens on the port. */
export async function assertPortFree(port: number, host = '127.0.0.1'): Promise<void> {
  if ((await listenOnce(port, host)) === undefined) throw new PortInUse(port, await portOwner(port));
}

/** Listens for a moment. Returns the port, or undefined when it is taken. */
function listenOnce(port: number, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    server.listen(port, host, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined));
    });
  });
}

/** Who listens on a port, as far as this user may see; undefined when it cannot be told. */
export async function portOwner(port: number): Promise<PortOwner | undefined> {
  return process.platform === 'linux' ? ownerByProc(port) : ownerByLsof(port);
}

async function ownerByProc(port: number): Promise<PortOwner | undefined> {
  const sockets = await listeningSockets(port);
  if (sockets.size === 0) return undefined;
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    if (await holdsSocket(pid, sockets)) return { pid: Number(pid), command: await commandOf(pid) };
  }
  return undefined;
}

/** Names, as /proc/<pid>/fd shows them, of the sockets that listen on a port. */
async function listeningSockets(port: number): Promise<Set<string>> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')),
  );
  const listening = '0A';
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = tables.flatMap((table) => table.split('\n').slice(1)).map((line) => line.trim().split(/\s+/));
  return new Set(
    rows.filter((row) => row[1]?.endsWith(suffix) && row[3] === listening).map((row) => `socket:[${row[9]}]`),
  );
}

async function holdsSocket(pid: string, sockets: Set<string>): Promise<boolean> {
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  for (const descriptor of descriptors) {
    const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
    if (sockets.has(target)) return true;
  }
  return false;
}

async function commandOf(pid: string): Promise<string> {
  return (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'unknown')).trim();
}

async function ownerByLsof(port: number): Promise<PortOwner | undefined> {
  const { stdout } = await runCommand('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-Fpc'], { timeoutMs: 5_000 });
  const pid = /^p(\d+)/m.exec(stdout)?.[1];
  return pid ? { pid: Number(pid), command: /^c(.+)/m.exec(stdout)?.[1] ?? 'unknown' } : undefined;
}
