/**
 * The suite on a kind cluster of this machine, step by step: cluster → registry → images → chart.
 *
 * Images reach the nodes through a registry beside the cluster, as kind documents it
 * (https://kind.sigs.k8s.io/docs/user/local-registry/): `localhost:5001` is the registry from outside, and by a line in
 * each node's /etc/containerd/certs.d from inside too. The order is the other way round than there, so that the registry
 * is born in the cluster's network. Every step may be repeated: what is there already is kept.
 */
import { type ImagePlan, type ImageWish, planImages } from './image-plan.ts';
import type { Step } from './image-tool.ts';

/** Programs without which nothing can be done, and where they come from. */
export const KIND_TOOLS = {
  docker: 'https://docs.docker.com/get-docker/',
  kind: 'https://kind.sigs.k8s.io/docs/user/quick-start/#installation',
  kubectl: 'https://kubernetes.io/docs/tasks/tools/',
  helm: 'https://helm.sh/docs/intro/install/ (4.0 or newer)',
};

const CLUSTER = 'plinth';
const CONTEXT = `kind-${CLUSTER}`;
const NAMESPACE = 'plinth';
/** Ours alone: `kind:down` may remove it. */
const REGISTRY_NAME = 'plinth-registry';
const REGISTRY_PORT = 5001;
const REGISTRY = `localhost:${REGISTRY_PORT}`;
const REGISTRY_CONFIG = `/etc/containerd/certs.d/${REGISTRY}`;

/** Where services and engines answer on this machine: the ports of k8s/kind.yaml. */
const ADDRESSES = {
  kv: 'http://localhost:7401',
  ratelimit: 'http://localhost:7402',
  queue: 'http://localhost:7403',
  RLS: 'grpc://localhost:7412',
  Jaeger: 'http://localhost:16686',
  NATS: 'nats://localhost:4222',
};

const words = (text: string): string[] => text.split(' ');

/** Cluster and registry. @param config - The text of the kind configuration; its nodes are counted. */
export function planCluster({ file, config }: { file: string; config: string }): Step[] {
  return [
    {
      title: `cluster ${CLUSTER}`,
      command: [...words(`kind create cluster --name ${CLUSTER} --wait 3m --config`), file],
      // Starts one that a reboot has stopped, and fails where there is none.
      unless: words(`docker start ${CLUSTER}-control-plane`),
    },
    {
      title: `registry ${REGISTRY}`,
      command: [
        ...words(`docker run --detach --restart unless-stopped --name ${REGISTRY_NAME} --network kind`),
        ...words(`--publish 127.0.0.1:${REGISTRY_PORT}:5000 registry:3`),
      ],
      unless: words(`docker start ${REGISTRY_NAME}`),
    },
    ...nodesOf(config).map((node) => ({
      title: `${node} knows the registry`,
      command: [
        ...words(`docker exec -i ${node} sh -c`),
        `mkdir -p ${REGISTRY_CONFIG} && cat >${REGISTRY_CONFIG}/hosts.toml`,
      ],
      input: `[host."http://${REGISTRY_NAME}:5000"]\n`,
    })),
    {
      title: 'tools know the registry',
      command: words(`kubectl --context ${CONTEXT} apply -f k8s/local-registry.yaml`),
    },
  ];
}

/** kind names its nodes by their roles, and counts from the second of a role on. */
function nodesOf(config: string): string[] {
  const roles = [...config.matchAll(/^\s*- role: ([a-z-]+)$/gm)].map(([, role = '']) => role);
  return roles.map((role, at) => {
    const nth = roles.slice(0, at + 1).filter((other) => other === role).length;
    return `${CLUSTER}-${role}${nth === 1 ? '' : nth}`;
  });
}

/** Images for the cluster: docker is there anyway, since kind runs on it. */
export function planClusterImages(wish: ImageWish): ImagePlan[] {
  return planImages({ ...wish, tool: 'docker', registry: REGISTRY });
}

/** What the registry calls a pushed image: asked of docker after the push. */
export const digestQuestion = (image: string): string[] => [
  ...words('docker inspect --format'),
  '{{json .RepoDigests}}',
  image,
];

/** The digest of a pushed image. @param answer - To `digestQuestion`. @throws Error when it was never pushed there. */
export function digestIn(answer: string, image: string): string {
  const repository = image.slice(0, image.lastIndexOf(':'));
  const known = (JSON.parse(answer) as string[]).find((name) => name.startsWith(`${repository}@`));
  if (known === undefined) throw new Error(`docker knows no digest of ${image}: it was not pushed`);
  return known.slice(repository.length + 1);
}

/**
 * The chart, with the very images that were built: a digest changes when the content does, so pods are replaced exactly
 * then.
 *
 * @param digests - By service.
 */
export function planRelease(digests: Record<string, string>): Step {
  return {
    title: 'helm upgrade --install plinth charts/plinth',
    command: [
      ...words(`helm upgrade --install plinth charts/plinth --kube-context ${CONTEXT} --namespace ${NAMESPACE}`),
      ...words('--create-namespace --values k8s/values-local.yaml --wait --timeout 5m'),
      ...Object.entries(digests).flatMap(([service, digest]) => ['--set', `${service}.image.digest=${digest}`]),
    ],
  };
}

/** What to try first, for the end of `kind:up`. */
export function firstSteps(): string[] {
  const key = `kubectl --context ${CONTEXT} -n ${NAMESPACE} get secret plinth-api-keys -o jsonpath={.data.root-key} | base64 -d`;
  return [
    ...Object.entries(ADDRESSES).map(([name, url]) => `${name.padEnd(11)}${url}`),
    '',
    'Try:',
    `  KEY=$(${key})`,
    `  curl -X PUT ${ADDRESSES.kv}/v1/kv/demo/hello -H "Authorization: Bearer $KEY" -d world`,
    `  helm test plinth --kube-context ${CONTEXT} --namespace ${NAMESPACE}`,
  ];
}

/** The cluster with all its data, and the registry with all its images. */
export function planRemoval(): Step[] {
  return [
    { title: `cluster ${CLUSTER} removed`, command: words(`kind delete cluster --name ${CLUSTER}`) },
    { title: `registry ${REGISTRY} removed`, command: words(`docker rm --force --volumes ${REGISTRY_NAME}`) },
  ];
}
