/** One installation of the umbrella chart: how it is put in, and how its parts are reached. */
import { fileURLToPath } from 'node:url';
import { get, helm, type KubeObject, kubectl, type Said, secretValue } from './cluster.ts';

export const CHART = fileURLToPath(new URL('../../charts/plinth', import.meta.url));
/** Where the images come from, for clusters that have them under other names: a values file. */
const IMAGES = process.env.PLINTH_K8S_VALUES;
const WAIT = ['--wait', '--timeout', '5m'];

/** Values beside the defaults, by their paths. */
export type Settings = Record<string, string | number | boolean | object>;

const settings = (set: Settings): string[] =>
  Object.entries(set).flatMap(([name, value]) => ['--set-json', `${name}=${JSON.stringify(value)}`]);
const images = (): string[] => (IMAGES === undefined ? [] : ['-f', IMAGES]);

export class Release {
  readonly name: string;
  readonly namespace: string;

  constructor(name: string, namespace: string) {
    this.name = name;
    this.namespace = namespace;
  }

  install(set: Settings = {}, chart = CHART): Promise<Said> {
    return this.#helm('install', this.name, chart, ...WAIT, ...images(), ...settings(set));
  }

  /** Does not wait for what may never become ready. */
  begin(set: Settings = {}): Promise<Said> {
    return this.#helm('install', this.name, CHART, ...images(), ...settings(set));
  }

  upgrade(set: Settings = {}, chart = CHART): Promise<Said> {
    return this.#helm('upgrade', this.name, chart, ...WAIT, ...images(), ...settings(set));
  }

  rollback(): Promise<Said> {
    return this.#helm('rollback', this.name, ...WAIT);
  }

  test(): Promise<Said> {
    return this.#helm('test', this.name, '--logs', '--timeout', '3m');
  }

  uninstall(): Promise<Said> {
    return this.#helm('uninstall', this.name, ...WAIT);
  }

  #helm(command: string, ...args: string[]): Promise<Said> {
    return helm(command, '--namespace', this.namespace, ...args);
  }

  rootKey(): Promise<string> {
    return secretValue(this.namespace, `${this.name}-api-keys`, 'root-key');
  }

  /** The pod of a part: `kv`. */
  async pod(part: string): Promise<KubeObject> {
    const { items } = await get('-n', this.namespace, 'pods', '-l', this.labels(part));
    return items.find((pod: KubeObject) => pod.metadata.deletionTimestamp === undefined) ?? items[0];
  }

  labels(part: string): string {
    return `app.kubernetes.io/instance=${this.name},app.kubernetes.io/name=${part}`;
  }

  /** Milliseconds until a part is ready again. */
  async ready(part: string): Promise<number> {
    const startedMs = performance.now();
    await kubectl(
      '-n',
      this.namespace,
      'wait',
      'pod',
      '-l',
      this.labels(part),
      '--for=condition=Ready',
      '--timeout=180s',
    );
    return performance.now() - startedMs;
  }
}
