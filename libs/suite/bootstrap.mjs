/**
 * The first step of every command: `node libs/suite/bootstrap.mjs <command>`.
 *
 * The only file that runs on whatever Node (20 or newer) a machine has, with no packages installed. It makes sure that
 * the packages are those of package-lock.json, finds the Node 24 that comes with them, and hands over to src/main.ts.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const STAMP = join(ROOT, 'node_modules', '.plinth-stamp');
const NODE_MAJOR_WANTED = 24;

/** Installs the packages unless they match the lock file already. */
async function ensurePackages() {
  const lockText = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
  const stamp = createHash('sha256').update(lockText).digest('hex');
  if (readIfThere(STAMP) === stamp) return;
  if (!matchesInstalled(JSON.parse(lockText))) await installPackages();
  writeFileSync(STAMP, stamp);
}

/** True when npm's own record of what lies in node_modules agrees with the lock: somebody ran `npm ci` by hand. */
function matchesInstalled(lock) {
  const record = readIfThere(join(ROOT, 'node_modules', '.package-lock.json'));
  if (record === undefined) return false;
  const installed = JSON.parse(record).packages;
  // Optional packages of other platforms are in the lock but never on this disk.
  return Object.entries(lock.packages)
    .filter(([path, entry]) => path.includes('node_modules/') && !entry.optional && !entry.devOptional)
    .every(([path, entry]) => installed[path]?.version === entry.version);
}

async function installPackages() {
  const startMs = Date.now();
  const seconds = () => Math.round((Date.now() - startMs) / 1000);
  say('packages: npm ci (about 20 s the first time)');
  const heartbeat = setInterval(() => say(`packages: still installing, ${seconds()} s`), 10_000);
  const { code, output } = await capture(...npm('ci', '--no-audit', '--no-fund', '--loglevel=error'));
  clearInterval(heartbeat);
  if (code !== 0) fail(`packages: npm ci failed (exit ${code}):\n${firstErrors(output)}`);
  say(`packages: installed in ${seconds()} s`);
}

/** npm names the cause first and then explains its options at length. */
function firstErrors(output) {
  const lines = output.split('\n').filter((line) => /\S/.test(line.replace(/^npm (error|ERR!|warn)/, '')));
  return lines.slice(0, 8).join('\n');
}

/** Under `npm run`, the very npm that called us; otherwise the one on PATH. */
function npm(...args) {
  const script = process.env.npm_execpath;
  return script?.endsWith('.js') ? [process.execPath, [script, ...args]] : ['npm', args];
}

function capture(command, args) {
  const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk;
    });
  }
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ code: 127, output: `${command}: ${error.message}` }));
    child.on('close', (code) => resolve({ code, output }));
  });
}

/** The Node that runs TypeScript: npm installed it with the packages. */
function findNode() {
  const fromPackages = join(ROOT, 'node_modules', 'node', 'bin', 'node');
  if (existsSync(fromPackages)) return fromPackages;
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_WANTED) return process.execPath;
  return fail(
    `Node ${NODE_MAJOR_WANTED} is missing: the "node" package was installed without its install script ` +
      `(npm's ignore-scripts?). Run "npm rebuild node", or use Node ${NODE_MAJOR_WANTED} yourself.`,
  );
}

/** Runs main.ts in our place: same terminal, same signals, same exit code. */
function handOver(node, args) {
  const main = join(ROOT, 'libs', 'suite', 'src', 'main.ts');
  // The channel tells the child when this process is killed; nothing is ever sent over it.
  const child = spawn(node, [main, ...args], { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => fail(`${node} cannot be started: ${error.message}`));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1);
    if (child.connected) child.disconnect();
  });
}

function readIfThere(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

/** On the stream for people: the other one may lead into a file, as with `status -- --json`. */
function say(line) {
  console.error(line);
}

function fail(line) {
  console.error(line);
  process.exit(1);
}

const [command, ...args] = process.argv.slice(2);
await ensurePackages();
if (command !== 'install') handOver(findNode(), command === undefined ? [] : [command, ...args]);
