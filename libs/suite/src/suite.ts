/** The commands of the suite, by name. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runDown } from './down-command.ts';
import { REPOSITORY } from './layout.ts';
import { runScript } from './run-script.ts';
import { runStatus } from './status-command.ts';
import { runTests } from './test-command.ts';
import { runSupervise, runUp } from './up-command.ts';

const COMMANDS: Record<string, (args: string[]) => Promise<number>> = {
  up: runUp,
  down: runDown,
  status: runStatus,
  test: runTests,
  tour: (args) => runFile(join(REPOSITORY, 'tests', 'tour.ts'), args),
  bench: ([name = '', ...args]) => runFile(join(REPOSITORY, 'bench', name, 'run.ts'), args),
  key: (args) => runFile(join(REPOSITORY, 'libs', 'service-kit', 'src', 'keys', 'new-key.ts'), args),
  charts: (args) => runFile(join(REPOSITORY, 'charts', 'generate.ts'), args),
  pack: async (args) => (await import('./pack-command.ts')).runPack(args),
  images: async (args) => (await import('./image-command.ts')).runImages(args),
  'kind:up': async (args) => (await import('./kind-command.ts')).runKindUp(args),
  'kind:down': async () => (await import('./kind-command.ts')).runKindDown(),
  supervise: runSupervise,
};

/** The commands behind npm's scripts, for whoever mistypes one. */
const NAMES = Object.keys(COMMANDS).filter((name) => name !== 'supervise');

/** Runs a command of the suite. Returns the exit code. */
export async function runSuiteCommand([name = '', ...args]: string[]): Promise<number> {
  const command = COMMANDS[name];
  if (command === undefined) return complain(`"${name}" is not a command. There are: ${NAMES.join(', ')}.`);
  try {
    return await command(args);
  } catch (error) {
    return complain(error instanceof Error ? error.message : String(error));
  }
}

async function runFile(file: string, args: string[]): Promise<number> {
  if (!existsSync(file)) return complain(`${file} does not exist.`);
  return runScript({ args: [file, ...args], cwd: REPOSITORY });
}

function complain(line: string): number {
  console.error(line);
  return 1;
}
