/**
 * Load over the bus, requests of our own protocol:
 *
 *     node nats-load.ts <url of NATS> <checks in a message> <messages in flight>
 */
import { connect } from '@nats-io/transport-node';
import { pressed, workOff } from '../driver-main.ts';
import { batchOf } from './plinth.ts';
import { drawer, KEYS } from './workload.ts';

const CHECK_SUBJECT = 'plinth.ratelimit.v1.check';
const ANSWER_TIMEOUT_MS = 20_000;

const [url, checks, inFlight] = process.argv.slice(2) as [string, string, string];
const decisions = Number(checks);
const connection = await connect({ servers: url });
const messages = Array.from({ length: KEYS }, (_, first) => {
  const batch = batchOf(first, decisions, KEYS);
  return Buffer.from(JSON.stringify(decisions === 1 ? batch[0] : batch));
});

await workOff(async (task) => {
  const draw = drawer(task.seed, messages.length);
  const { calls, ...times } = await pressed({ ...task, inFlight: Number(inFlight) }, async () => {
    const answer = await connection.request(CHECK_SUBJECT, messages[draw()]!, { timeout: ANSWER_TIMEOUT_MS });
    assertAllowed(answer.string());
  });
  return { decisions: calls * decisions, ...times };
});

function assertAllowed(answer: string): void {
  const parsed = JSON.parse(answer) as unknown;
  const answers = (Array.isArray(parsed) ? parsed : [parsed]) as { allowed?: boolean }[];
  if (answers.length === decisions && answers.every(({ allowed }) => allowed)) return;
  throw new Error(`the answer is no yes to all ${decisions}: ${answer.slice(0, 300)}`);
}
