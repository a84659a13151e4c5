/** Where things lie: the repository, and the state of a suite that runs. */
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the repository. */
export const REPOSITORY = fileURLToPath(new URL('../../..', import.meta.url));

/** Folders and files of one suite; two suites with different homes know nothing of each other. */
export interface Home {
  dir: string;
  /** Held by the supervisor that runs. */
  lockFile: string;
  /** What runs, for `status` and `down`. */
  stateFile: string;
  logsDir: string;
  dataDir: string;
}

/** The state folder: `PLINTH_HOME`, or `.plinth/` in the repository. */
export function homeOf(env: NodeJS.ProcessEnv): Home {
  const dir = resolve(env.PLINTH_HOME || join(REPOSITORY, '.plinth'));
  return {
    dir,
    lockFile: join(dir, 'supervisor.lock'),
    stateFile: join(dir, 'state.json'),
    logsDir: join(dir, 'logs'),
    dataDir: join(dir, 'data'),
  };
}

/** The services to run: those of the repository, unless a test brings its own. */
export function servicesDirOf(env: NodeJS.ProcessEnv): string {
  return env.PLINTH_SERVICES_DIR || join(REPOSITORY, 'services');
}
