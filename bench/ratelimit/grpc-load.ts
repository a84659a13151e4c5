/**
 * Load over gRPC:
 *
 *     node grpc-load.ts <address> <name of a call> <calls in flight>
 */
import { pressed, workOff } from '../driver-main.ts';
import { framed, GrpcChannel } from './grpc-channel.ts';
import { CALLS } from './grpc-wire.ts';
import { drawer } from './workload.ts';

const [address, name, inFlight] = process.argv.slice(2) as [string, string, string];
const { path, messages, decisions, assertAllowed } = CALLS[name]!();
const frames = messages.map(framed);
const channel = new GrpcChannel(address);

await workOff(async (task) => {
  const draw = drawer(task.seed, frames.length);
  const { calls, ...times } = await pressed({ ...task, inFlight: Number(inFlight) }, async () => {
    assertAllowed(await channel.send(path, frames[draw()]!));
  });
  return { decisions: calls * decisions, ...times };
});
