/**
 * `npm run kind:up` and `kind:down`: the suite on a Kubernetes of this machine.
 *
 *     npm run kind:up [-- --config k8s/kind-workers.yaml] [--base IMAGE] [--runtime IMAGE] [--network host]
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildImages, suiteImages } from './image-command.ts';
import type { ImagePlan } from './image-plan.ts';
import { missingTools, runStep, runTool, type Step } from './image-tool.ts';
import {
  digestIn,
  digestQuestion,
  firstSteps,
  KIND_TOOLS,
  planCluster,
  planClusterImages,
  planRelease,
  planRemoval,
} from './kind-plan.ts';
import { REPOSITORY } from './layout.ts';

/** Runs `kind:up`. Returns 0 when every pod is ready; may be repeated, also to roll out what has changed. */
export async function runKindUp(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: 'string', default: 'k8s/kind.yaml' },
      base: { type: 'string' },
      runtime: { type: 'string' },
      network: { type: 'string' },
    },
  });
  const { config: file, ...build } = values;
  assertTools(Object.keys(KIND_TOOLS));
  const wish = { ...(await suiteImages()), ...build };
  await runSteps(planCluster({ file, config: readFileSync(join(REPOSITORY, file), 'utf8') }));
  const images = planClusterImages(wish);
  await buildImages(images, console.log);
  await runSteps([planRelease(await digestsOf(images))]);
  console.log(['', ...firstSteps()].join('\n'));
  return 0;
}

/** Runs `kind:down`. Returns 0 when neither the cluster nor its registry is there afterwards. */
export async function runKindDown(): Promise<number> {
  assertTools(['docker', 'kind']);
  await runSteps(planRemoval());
  return 0;
}

/** By service, what the registry calls the image that was just pushed. */
async function digestsOf(images: ImagePlan[]): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const { service, name } of images)
    digests[service] = digestIn((await runTool(digestQuestion(name))).output, name);
  return digests;
}

function assertTools(names: string[]): void {
  const missing = missingTools(names, process.env);
  if (missing.length === 0) return;
  const where = Object.entries(KIND_TOOLS).filter(([name]) => missing.includes(name));
  throw new Error(`not on PATH: ${where.map(([name, url]) => `${name} (${url})`).join(', ')}`);
}

async function runSteps(steps: Step[]): Promise<void> {
  for (const step of steps) {
    const seconds = await runStep(step);
    console.log(`${step.title}: ${seconds === undefined ? 'was there' : `${seconds.toFixed(1)} s`}`);
  }
}
