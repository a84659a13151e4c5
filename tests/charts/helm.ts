/** The charts as `helm` renders them: with no cluster, so nothing here is installed. */
import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const HAS_HELM = spawnSync('helm', ['version'], { encoding: 'utf8' }).status === 0;

/** Charts that are installed, by their folders. */
export const CHARTS = ['kv', 'ratelimit', 'queue', 'nats', 'valkey', 'jaeger', 'plinth'].map(
  (name) => `charts/${name}`,
);
/** Without which a chart is refused, by its folder. */
export const NEEDED: Readonly<Record<string, { global: { redis: { url: string } } }>> = {
  'charts/queue': { global: { redis: { url: 'redis://c:6379' } } },
};
/** Workers of a queue as the README of its chart has them, and with all that may be said of them. */
export const MAILS = { name: 'mails', queue: 'mails', scaleTargetRef: { name: 'mail-workers' }, targetDepth: 8 };
export const IMAGES = {
  name: 'images',
  queue: 'Images_2',
  scaleTargetRef: { name: 'image-workers', kind: 'StatefulSet', apiVersion: 'apps/v1' },
  targetDepth: 0.5,
  activationDepth: 3,
  oldestWaitingMs: 60_000,
  minReplicaCount: 1,
  maxReplicaCount: 1_000_000,
  idleReplicaCount: 0,
  pollingInterval: 15,
  cooldownPeriod: 60,
  initialCooldownPeriod: 30,
  fallback: { failureThreshold: 3, replicas: 2 },
  advanced: { restoreToOriginalReplicaCount: true },
  annotations: { 'autoscaling.keda.sh/paused': 'false' },
};

/** Made of what no chart of a service uses yet: KEDA, Redis in any case. */
export const STATELESS = 'tests/charts/stateless';

export interface Rendering {
  values?: object;
  files?: string[];
  release?: string;
  namespace?: string;
}

/** The part of a Kubernetes object that the tests look at. */
export interface KubeObject {
  kind: string;
  metadata: { name: string; namespace: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  // biome-ignore lint/suspicious/noExplicitAny: every kind has members of its own.
  [member: string]: any;
}

/** What `helm template` prints. @throws Error with what helm says, when it refuses. */
export function manifest(chart: string, rendering: Rendering = {}): Promise<string> {
  return helm('template', chart, rendering);
}

export async function objects(chart: string, rendering: Rendering = {}): Promise<KubeObject[]> {
  return parsed(await manifest(chart, rendering));
}

export function parsed(text: string): KubeObject[] {
  return parseAllDocuments(text)
    .map((document) => {
      if (document.errors.length > 0) throw document.errors[0];
      return document.toJS() as KubeObject | null;
    })
    .filter((object) => object !== null);
}

/** What a person reads after `helm install`. */
export async function notes(chart: string, rendering: Rendering = {}): Promise<string> {
  const text = await helm('install', chart, rendering, '--dry-run=client');
  return text.slice(text.indexOf('\nNOTES:\n') + '\nNOTES:\n'.length);
}

export function lint(chart: string): Promise<string> {
  return run(['lint', '--strict', chart, '-f', '-'], JSON.stringify(NEEDED[chart] ?? {}));
}

/** Why helm refuses. @throws Error when it does not. */
export async function refusal(chart: string, values: object): Promise<string> {
  try {
    await manifest(chart, { values });
  } catch (fault) {
    return (fault as Error).message;
  }
  throw new Error(`helm took ${JSON.stringify(values)} for ${chart}`);
}

function helm(command: string, chart: string, rendering: Rendering, ...flags: string[]): Promise<string> {
  const { values = {}, files = [], release = 'r', namespace = 'default' } = rendering;
  const given = [...files, '-'].flatMap((file) => ['-f', file]);
  return run([command, release, chart, '-n', namespace, ...given, ...flags], JSON.stringify(values));
}

function run(args: string[], input = ''): Promise<string> {
  // Nothing here may depend on a cluster that happens to be at hand.
  const env = { ...process.env, KUBECONFIG: '/dev/null' };
  return new Promise((resolve, reject) => {
    const child = execFile('helm', args, { cwd: ROOT, env, maxBuffer: 2 ** 24 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(withoutNoise(`${stdout}${stderr}`)));
    });
    child.stdin!.end(input);
  });
}

function withoutNoise(said: string): string {
  return said
    .split('\n')
    .filter((line) => !line.startsWith('level=INFO'))
    .join('\n');
}
