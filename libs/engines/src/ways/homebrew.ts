/** Homebrew, on macOS and wherever else `brew` is installed. Installs; never starts a background service. */
import { join } from 'node:path';
import { findOnPath, mustRun } from '../command.ts';
import { type FetchContext, type Way, WayClosed } from '../engine.ts';

/** @param binary - The program's name in the formula's `bin` folder. */
export function homebrew(options: { formula: string; binary: string }): Way {
  return {
    name: `brew install ${options.formula}`,
    source: 'Homebrew',
    async fetch({ env, progress }: FetchContext) {
      const brew = await findOnPath('brew', env);
      if (brew === undefined) throw new WayClosed('no brew on PATH');
      progress(`installing ${options.formula} with Homebrew`);
      const quiet = { ...env, HOMEBREW_NO_AUTO_UPDATE: '1', HOMEBREW_NO_ENV_HINTS: '1' };
      await mustRun(brew, ['install', '--quiet', options.formula], { env: quiet });
      const prefix = await mustRun(brew, ['--prefix', options.formula], { env: quiet });
      return { binary: join(prefix.stdout.trim(), 'bin', options.binary) };
    },
  };
}
