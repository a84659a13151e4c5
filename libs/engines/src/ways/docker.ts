/** Docker: the last way, because a container is one more layer between a laptop and its data. */
import { findOnPath, lastLines, mustRun, runCommand } from '../command.ts';
import { type FetchContext, type Way, WayClosed } from '../engine.ts';

/**
 * @param image - With a tag that pins the version.
 * @param pullTimeoutMs - Ten minutes when omitted.
 */
export function dockerImage(image: string, { pullTimeoutMs }: { pullTimeoutMs?: number } = {}): Way {
  return {
    name: `docker pull ${image}`,
    source: 'Docker',
    async fetch({ env, progress }: FetchContext) {
      const docker = await findOnPath('docker', env);
      if (docker === undefined) throw new WayClosed('no docker on PATH');
      const info = await runCommand(docker, ['info'], { env, timeoutMs: 10_000 });
      if (info.code !== 0) throw new WayClosed(`docker does not answer: ${lastLines(info.output, 1)}`);
      const isHere = (await runCommand(docker, ['image', 'inspect', image], { env })).code === 0;
      if (!isHere) {
        progress(`pulling ${image}`);
        await mustRun(docker, ['pull', '--quiet', image], { env, timeoutMs: pullTimeoutMs });
      }
      return { image };
    },
  };
}
