/** A small Go program of ours around a library: built by the Go toolchain, which verifies every module it fetches. */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { findOnPath, lastLines, runCommand } from '../libs/engines/src/command.ts';
import { type FetchContext, type Way, WayClosed } from '../libs/engines/src/engine.ts';

/**
 * @param dir - Holds `go.mod`, which pins what it needs, and the sources.
 * @param binary - What to call the program.
 */
export function goModule(options: { dir: string; binary: string }): Way {
  return {
    name: `go build of ${options.binary}`,
    source: 'Go toolchain',
    async fetch({ env, stagingDir, progress }: FetchContext) {
      const go = await findOnPath('go', env);
      if (go === undefined) throw new WayClosed('no go on PATH');
      progress('building with Go (a minute or two)');
      const sources = join(stagingDir, 'sources');
      await cp(options.dir, sources, { recursive: true });
      const settings = { env: { ...env, CGO_ENABLED: '0', GOFLAGS: '-trimpath' }, cwd: sources };
      // The sums of all modules come from the checksum database instead of lying here as hundreds of lines.
      for (const args of [
        ['mod', 'tidy'],
        ['build', '-o', join(stagingDir, options.binary), '.'],
      ]) {
        const { code, output } = await runCommand(go, args, settings);
        if (code !== 0) throw new Error(lastLines(output));
      }
      return { binary: options.binary };
    },
  };
}
