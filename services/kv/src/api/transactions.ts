/** Many operations in one request: a batch, each for itself, or a transaction, all or none. */
import { type Call, json, kv, type Served, serve } from '@plinth/contracts';
import { type AnyOperation, type Check as JsonCheck, LIMITS } from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import type { Catalog, Handle } from '../core/catalog.ts';
import type { Check, Command, Done, Once, Operation } from '../core/command.ts';
import { recall } from '../core/idempotency.ts';
import { doneJson, problemJson, resultJson } from './entry-json.ts';
import { keyOf } from './key.ts';
import { onceOf } from './request-headers.ts';
import {
  bucketForWrite,
  bytesOfCommand,
  operationOf,
  refuseReadThrough,
  submitOptions,
  writeHeaders,
} from './writes.ts';

export function transactionOperations({ catalog, now }: { catalog: Catalog; now: () => number }): Served[] {
  return [
    serve(kv.batch, async (call) => {
      const handle = await bucketForWrite(catalog, call.params.bucket!);
      refuseReadThrough(handle);
      const once = onceOf(call, () => [call.body]);
      const planned = call.body.operations.map((item, at) => planOne(item, handle.bucket.id, nth(once, at), now()));
      refuseAnotherBatch(handle, once);
      const commands = planned.filter((plan): plan is Command => !(plan instanceof Problem));
      const size = commands.reduce((sum, command) => sum + bytesOfCommand(command), 0);
      // Remembers the batch as a whole, so that another one with its key is not done in part.
      const marker: Command = {
        do: 'transaction',
        bucket: handle.bucket.id,
        checks: [],
        onTrue: [],
        onFalse: [],
        once,
      };
      const [, ...outcomes] = await handle.engine.submitEach([marker, ...commands], submitOptions(call as Call, size));
      const replayed = outcomes.some((outcome) => !(outcome instanceof Problem) && outcome.replayed);
      const results = planned.map((plan) => {
        const outcome = plan instanceof Problem ? plan : outcomes.shift()!;
        return outcome instanceof Problem ? problemJson(outcome) : resultJson(outcome.results[0]!, outcome.revision);
      });
      return json(200, { results }, writeHeaders(handle, replayed));
    }),

    serve(kv.txn, async (call) => {
      const { if: checks, then: onTrue, else: onFalse } = call.body;
      refuseTooMany(checks.length + onTrue.length + onFalse.length);
      // First what may be refused: a request that is refused makes no bucket.
      const planned = {
        checks: checks.map(checkOf),
        onTrue: plan(onTrue, 'then', now()),
        onFalse: plan(onFalse, 'else', now()),
        once: onceOf(call, () => [call.body]),
      };
      const handle = await bucketForWrite(catalog, call.params.bucket!);
      refuseReadThrough(handle);
      const command = { do: 'transaction', bucket: handle.bucket.id, ...planned } satisfies Command;
      const done = await handle.engine.submit(command, submitOptions(call as Call, sizeOf(command)));
      if (call.query.strict && !done.succeeded) throw checksFailed(done);
      return json(200, transactionJson(done), writeHeaders(handle, done.replayed));
    }),
  ];
}

/** @throws Problem `idempotency_mismatch`. */
function refuseAnotherBatch({ engine, bucket }: Handle, once: Once | undefined): void {
  const known = once && recall(engine.store, bucket.id, once);
  if (known instanceof Problem) throw known;
}

/** A fault in one item of a batch is that item's answer. */
function planOne(item: AnyOperation, bucket: number, once: Once | undefined, nowMs: number): Command | Problem {
  try {
    return { do: 'operation', bucket, operation: operationOf(item, nowMs), once };
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
}

const nth = (once: Once | undefined, at: number): Once | undefined => once && { ...once, id: `${once.id}#${at}` };

/** A fault in one operation of a transaction refuses all of it, and says where. */
function plan(items: readonly AnyOperation[], branch: string, nowMs: number): Operation[] {
  return items.map((item, at) => {
    try {
      return operationOf(item, nowMs);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      throw new Problem(error.code, error.message, {
        issues: [{ path: `/${branch}/${at}`, message: error.message }],
        members: error.members,
      });
    }
  });
}

function refuseTooMany(count: number): void {
  if (count <= LIMITS.transactionOperationsMax) return;
  throw new Problem(
    'invalid_request',
    `the transaction has ${count} checks and operations; the most is ${LIMITS.transactionOperationsMax}`,
    { members: { limit: LIMITS.transactionOperationsMax } },
  );
}

function checkOf({ op, exists, revision, createRevision, version, value, valueBase64, ...at }: JsonCheck): Check {
  const key = keyOf(at);
  if (exists !== undefined) return { key, op, target: 'exists', wanted: exists };
  if (revision !== undefined) return { key, op, target: 'revision', wanted: revision };
  if (createRevision !== undefined) return { key, op, target: 'createRevision', wanted: createRevision };
  if (version !== undefined) return { key, op, target: 'version', wanted: version };
  const wanted = value === undefined ? Buffer.from(valueBase64!, 'base64') : Buffer.from(value, 'utf8');
  return { key, op, target: 'value', wanted };
}

const sizeOf = ({ onTrue, onFalse }: Command & { do: 'transaction' }): number =>
  [...onTrue, ...onFalse].reduce(
    (sum, operation) => sum + 256 + ('value' in operation ? operation.value.length : 0),
    0,
  );

function transactionJson(done: Done) {
  const { succeeded, revision, failedChecks } = done;
  return { succeeded, revision, failedChecks, results: doneJson(done) };
}

function checksFailed({ failedChecks = [], revision }: Done): Problem {
  return new Problem('precondition_failed', `checks ${failedChecks.join(', ')} do not hold`, {
    members: { failedChecks: failedChecks.map(String), revision },
  });
}
