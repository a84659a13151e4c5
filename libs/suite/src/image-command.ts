/**
 * `npm run images`: the images of all services, from the one Dockerfile.
 *
 *     npm run images [-- --service kv,logs|suite] [--tag 0.1.0] [--push localhost:5001]
 *                    [--tool docker|buildah] [--base IMAGE] [--runtime IMAGE] [--network host]
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { IMAGE_TOOLS, type ImagePlan, type ImageTool, type ImageWish, planImages } from './image-plan.ts';
import { missingTools, runStep, runTool } from './image-tool.ts';
import { REPOSITORY } from './layout.ts';
import { discoverServices } from './services.ts';

/** Runs `images`. Returns 0 when all were built; prints each one's name, size and seconds. */
export async function runImages(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      service: { type: 'string' },
      tag: { type: 'string' },
      push: { type: 'string' },
      tool: { type: 'string' },
      base: { type: 'string' },
      runtime: { type: 'string' },
      network: { type: 'string' },
    },
  });
  const { service, tool, push, ...same } = values;
  const images = planImages({
    ...(await suiteImages()),
    ...same,
    ...(tool !== undefined && { tool: knownTool(tool) }),
    only: service?.split(',').filter(Boolean),
    registry: push,
  });
  await buildImages(images, console.log);
  return 0;
}

/** Builds them one after the other: two builds at once are no faster, and their packages are the same. */
export async function buildImages(images: ImagePlan[], print: (line: string) => void): Promise<void> {
  for (const { name, build, size, push } of images) {
    print(`${name}: building`);
    const seconds = await runStep(build);
    print(`${name}: ${(await runTool(size)).output.trim()}, ${seconds?.toFixed(1)} s`);
    if (push === undefined) continue;
    print(`${name}: pushed in ${(await runStep(push))?.toFixed(1)} s`);
  }
}

/** What every build of this repository has in common. @throws Error when there is nothing to build with. */
export async function suiteImages(): Promise<ImageWish> {
  const { version } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8')) as { version: string };
  const commit = await runTool(['git', 'rev-parse', 'HEAD']);
  return {
    tool: firstTool(process.env),
    services: discoverServices({ servicesDir: join(REPOSITORY, 'services'), dataDir: '', env: {} }),
    version,
    tag: version,
    revision: commit.code === 0 ? commit.output.trim() : undefined,
    // `npm run` says here what the user's .npmrc says.
    npmRegistry: process.env.npm_config_registry ?? process.env.NPM_CONFIG_REGISTRY,
  };
}

function firstTool(env: NodeJS.ProcessEnv): ImageTool {
  const missing = missingTools([...IMAGE_TOOLS], env);
  const tool = IMAGE_TOOLS.find((name) => !missing.includes(name));
  if (tool === undefined) throw new Error('Images need docker or buildah, and neither is on PATH.');
  return tool;
}

function knownTool(name: string): ImageTool {
  const tool = IMAGE_TOOLS.find((known) => known === name);
  if (tool === undefined) throw new Error(`--tool ${name}: there are ${IMAGE_TOOLS.join(' and ')}.`);
  if (missingTools([tool], process.env).length > 0) throw new Error(`${tool} is not on PATH.`);
  return tool;
}
