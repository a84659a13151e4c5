/** Rows over gRPC: Envoy's protocol, and gubernator's own. */
import type { Arena } from './arena.ts';
import { type Contender, type Contest, CPU, loadedBy } from './contest.ts';
import type { Field } from './contests.ts';
import { startEnvoy } from './envoy.ts';
import type { CallName } from './grpc-wire.ts';
import { startGubernator } from './gubernator.ts';
import { startPlinth } from './plinth.ts';
import { IN_FLIGHT } from './workload.ts';

export async function rlsContest(
  { arena, main }: Field,
  facts: { row: 'A7' | 'A8'; name: 'rls-1' | 'rls-4'; title: string },
): Promise<Contest> {
  const door = facts.name === 'rls-1' ? 'rlsDoor' : 'fourDoor';
  const contenders = [
    ...(await plinthOverRls(arena, main, facts.name, door)),
    ...(await arena.unlessMissing('envoy', async () => {
      // A denied request must not be counted in the other descriptors: that is what all or none means.
      const envoy = await startEnvoy(arena, facts.name === 'rls-1' ? 'usual' : 'sparing');
      await arena.check(facts.name === 'rls-1' ? envoy.door : envoy.fourDoor);
      const measure = await loadedByGrpc(arena, { address: envoy.address, pids: envoy.pids, call: facts.name });
      return { name: 'envoy', title: envoy.title, measure };
    })),
  ];
  return { ...facts, cost: CPU, contenders };
}

export async function singleGrpcContest({ arena, main }: Field): Promise<Contest[]> {
  const contenders = [
    ...(await plinthOverRls(arena, main, 'rls-1', 'rlsDoor')),
    ...(await gubernatorContender(arena, 'gubernator-1')),
  ];
  return [{ row: 'A9', name: 'grpc-1', title: 'gRPC, 1 check', cost: CPU, contenders }];
}

function plinthOverRls(arena: Arena, main: string, call: CallName, door: 'rlsDoor' | 'fourDoor'): Promise<Contender[]> {
  return arena.unlessMissing('plinth', async () => {
    const plinth = await startPlinth(arena, main);
    await arena.check(plinth[door]);
    const measure = await loadedByGrpc(arena, { address: plinth.rlsAddress, pids: [plinth.pid], call });
    return { name: 'plinth', title: 'plinth, RLS', measure };
  });
}

export function gubernatorContender(arena: Arena, call: CallName): Promise<Contender[]> {
  return arena.unlessMissing('gubernator', async () => {
    const { address, pid, title, door } = await startGubernator(arena);
    await arena.check(door('token'));
    const measure = await loadedByGrpc(arena, { address, pids: [pid], call });
    return { name: 'gubernator', title: `${title}, gRPC`, measure };
  });
}

async function loadedByGrpc(arena: Arena, to: { address: string; pids: number[]; call: CallName }) {
  return loadedBy(await arena.driver('grpc-load.ts', [to.address, to.call, String(IN_FLIGHT)]), to.pids);
}
