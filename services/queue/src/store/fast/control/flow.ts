/** Trees of jobs: from the nodes of a flow to what its script is sent. */
import type { FlowNode } from '../../lane.ts';
import { recordBody } from '../record.ts';
import type { QueueAt } from '../views/views.ts';
import { ADD_FLOW } from './flow-script.ts';

/** Jobs of one tree. One script makes them all, and keeps Redis for about 10 µs each. */
export const FLOW_JOBS_MAX = 1_000;

/**
 * Adds a tree: all of it or nothing.
 *
 * @returns Its root and the children of the root, in their order.
 * @throws RangeError when it has too many jobs, or one with a dedup id: what a tree would be of which one job is
 * another's duplicate, nobody could say.
 * @throws Error `queue_full` when the queue has no room for all of it.
 */
export async function addFlowAt({ run }: QueueAt, flow: FlowNode): Promise<{ id: string; childIds: string[] }> {
  const nodes = inOrder(flow);
  const args = nodes.flatMap(({ node, parent }) => [
    parent + 1,
    node.children.length,
    node.job.runAtMs === 0 ? '' : Math.ceil(node.job.runAtMs).toString(36),
    recordBody(node.job, parent < 0 ? undefined : { id: '@', onFailure: node.onFailure }),
  ]);
  const ids = (await run(ADD_FLOW, [nodes.length, ...args])) as string[];
  if (ids.length === 0) throw new Error('queue_full: the queue has no room for all jobs of the flow');
  return { id: ids[0]!, childIds: ids.filter((_, at) => nodes[at]!.parent === 0) };
}

interface Placed {
  readonly node: FlowNode;
  /** Its place in the list; -1: there is none above it. */
  readonly parent: number;
}

/** Parents before their children, brothers in their order. */
function inOrder(flow: FlowNode): Placed[] {
  const placed: Placed[] = [{ node: flow, parent: -1 }];
  // The list grows while it is walked: what is met later is further down in the tree.
  for (let at = 0; at < placed.length; at++) {
    const { job, children } = placed[at]!.node;
    if (job.dedup !== undefined) throw new RangeError('a job of a flow has no dedup id');
    for (const node of children) placed.push({ node, parent: at });
    if (placed.length > FLOW_JOBS_MAX) throw new RangeError(`a flow has at most ${FLOW_JOBS_MAX} jobs`);
  }
  return placed;
}
