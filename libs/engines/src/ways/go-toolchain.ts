/** The Go toolchain: builds a tagged module, which Go's own checksum database verifies. */
import { findOnPath, lastLines, runCommand } from '../command.ts';
import { type FetchContext, type Way, WayClosed } from '../engine.ts';

/** A line every few seconds is a sign of life; more is noise. */
const PROGRESS_EVERY_MS = 5_000;

/**
 * @param module - The module with its version, such as `example.com/server/v2@v2.1.0`.
 * @param binary - The name `go install` gives the program.
 */
export function goToolchain(options: { module: string; binary: string }): Way {
  return {
    name: `go install ${options.module}`,
    source: 'Go toolchain',
    async fetch({ env, stagingDir, progress }: FetchContext) {
      const go = await findOnPath('go', env);
      if (go === undefined) throw new WayClosed('no go on PATH');
      progress(`building ${options.module} with Go (about a minute)`);
      const build = countPackages((seconds, packages) => progress(`building, ${packages} packages, ${seconds} s`));
      const { code, output } = await runCommand(go, ['install', '-v', options.module], {
        env: { ...env, GOBIN: stagingDir, CGO_ENABLED: '0', GOFLAGS: '-trimpath' },
        onLine: build.onLine,
      });
      build.end();
      if (code !== 0) throw new Error(lastLines(output));
      return { binary: options.binary };
    },
  };
}

/** Counts the packages that `go install -v` names, one a line, and reports now and then. */
function countPackages(report: (seconds: number, packages: number) => void) {
  const startMs = Date.now();
  let packages = 0;
  const timer = setInterval(() => report(Math.round((Date.now() - startMs) / 1000), packages), PROGRESS_EVERY_MS);
  return {
    onLine: () => {
      packages++;
    },
    end: () => clearInterval(timer),
  };
}
