/** Which images to build, and by which commands: decided here, run by `image-command.ts`. */
import { PORTS } from '@plinth/contracts/ports';
import type { Step } from './image-tool.ts';
import type { ServiceSpec } from './services.ts';

/** Programs that build an image from a Dockerfile, the usual one first. */
export const IMAGE_TOOLS = ['docker', 'buildah'] as const;
export type ImageTool = (typeof IMAGE_TOOLS)[number];

/** The name for all services in one image. */
export const WHOLE_SUITE = 'suite';

/** What to build. */
export interface ImageWish {
  tool: ImageTool;
  services: Pick<ServiceSpec, 'name' | 'ports'>[];
  /** Names of services, or `suite`; every service when omitted. */
  only?: string[];
  version: string;
  tag: string;
  /** Images go to this registry, under its name: `localhost:5001`. */
  registry?: string;
  /** The commit, for the image's labels. */
  revision?: string;
  /** Instead of the Dockerfile's own. */
  base?: string;
  runtime?: string;
  /** Of the build: `host` where only the machine itself reaches npm's packages. */
  network?: string;
  /** Where npm's packages come from. */
  npmRegistry?: string;
}

/** One image: how it is built, how large it is, and how it gets to its registry. */
export interface ImagePlan {
  /** A service, or `suite`. */
  service: string;
  name: string;
  build: Step;
  size: string[];
  push: Step | undefined;
}

/** @throws Error when `only` names a service that does not exist. */
export function planImages(wish: ImageWish): ImagePlan[] {
  const names = wish.services.map(({ name }) => name);
  const unknown = wish.only?.find((name) => name !== WHOLE_SUITE && !names.includes(name));
  if (unknown !== undefined) {
    throw new Error(
      `there is no service "${unknown}"; there are: ${names.join(', ')}, and ${WHOLE_SUITE} for all in one`,
    );
  }
  return (wish.only ?? names).map((name) => planImage(name, wish));
}

function planImage(service: string, wish: ImageWish): ImagePlan {
  const { tool, tag, registry } = wish;
  const name = `${registry === undefined ? '' : `${registry}/`}plinth/${service}:${tag}`;
  const verb = { docker: 'build', buildah: 'bud' }[tool];
  const network = wish.network === undefined ? [] : ['--network', wish.network];
  const command = [tool, verb, '--tag', name, ...network, ...buildArguments(service, wish), '.'];
  return {
    service,
    name,
    build: { title: name, command },
    size: [tool, 'images', '--format', '{{.Size}}', name],
    push: registry === undefined ? undefined : { title: `push ${name}`, command: [tool, 'push', name] },
  };
}

/** The Dockerfile's own defaults hold for what is not said. */
function buildArguments(service: string, wish: ImageWish): string[] {
  const ports = wish.services
    .filter(({ name }) => service === WHOLE_SUITE || service === name)
    .flatMap((it) => it.ports);
  const all = {
    SERVICE: service,
    PORT: (ports.length > 0 ? ports : [PORTS.kv]).join(' '),
    VERSION: wish.version,
    REVISION: wish.revision,
    BASE: wish.base,
    RUNTIME: wish.runtime,
    NPM_CONFIG_REGISTRY: wish.npmRegistry,
  };
  return Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : ['--build-arg', `${name}=${value}`],
  );
}
