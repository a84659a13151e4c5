/** Replicas in one process, each with its own connection: what happens to keys while members come, go and fall silent. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { connect } from '@nats-io/transport-node';
import { type Charge, policyOf } from '@plinth/limiter';
import { eventually, startTestNats, withNats } from '@plinth/testkit';
import { BackendAway } from '../backend.ts';
import type { OwnersBackend } from '../owners-backend.ts';
import { ADDRESSES } from './post.ts';
import {
  charge,
  figure,
  keysOf,
  type Replica,
  type ReplicaOptions,
  settled,
  startReplica,
  startReplicas,
} from './replicas.fixture.ts';
import { encodeCall, PolicyTexts } from './wire.ts';

const nats = withNats();
const limit = policyOf({ algorithm: 'fixed', limit: 10, windowMs: 3_000_000 });
const IDS = ['r0', 'r1', 'r2'];

let replicas: Replica[] = [];
let buckets = 0;
const start = async (count: number, options: ReplicaOptions = {}) => {
  replicas = await startReplicas(nats.url, count, { bucket: `moves-${++buckets}`, callMs: 500, ...options });
  return replicas as [Replica, Replica, Replica];
};
afterEach(async () => {
  for (const replica of replicas) await replica.stop();
  replicas = [];
});

const take = async ({ backend }: { backend: OwnersBackend }, ...charges: Charge[]) =>
  (await backend.decide([{ charges, mode: 'take' }]))[0]!;
const left = async ({ backend }: { backend: OwnersBackend }, one: Charge) =>
  (await backend.decide([{ charges: [{ ...one, cost: 0 }], mode: 'look' }]))[0]!.outcomes[0]?.remaining;

describe('calls', () => {
  test('what is owned here is decided at once, what is not by its owner: all see one state', async () => {
    const [first, second, third] = await start(3);
    const here = charge(keysOf('r0', IDS, 1)[0]!, limit);
    const there = charge(keysOf('r1', IDS, 1)[0]!, limit);
    expect(first.backend.decide([{ charges: [here], mode: 'take' }])).not.toBeInstanceOf(Promise);
    expect(first.backend.decide([{ charges: [there], mode: 'take' }])).toBeInstanceOf(Promise);
    for (const one of [first, second, third]) for (const key of [here, there]) await take(one, key);
    for (const one of [first, second, third]) {
      expect(await left(one, here)).toBe(6);
      expect(await left(one, there)).toBe(6);
    }
    expect(first.backend.replicas()).toBe(3);
  });

  test('a lone call is a message of its own, those of one turn share one, and later ones gather', async () => {
    const [first] = await start(3);
    const keys = keysOf('r1', IDS, 400).map((key) => charge(key, limit));
    const sent = () => figure(first.backend, 'batch_count');
    const before = sent();
    await take(first, keys[0]!);
    expect(sent() - before).toBe(1);
    await Promise.all(keys.slice(0, 200).map((key) => take(first, key)));
    expect(sent() - before).toBe(2);
    await Promise.all(keys.map((key) => take(first, key)));
    expect(sent() - before).toBe(4);
    expect(figure(first.backend, 'batch_sum')).toBeGreaterThanOrEqual(601);
  });

  test('what cannot be read is refused whole, and nothing of it is counted', async () => {
    const [first] = await start(1);
    const key = charge('k', limit);
    const wishes = [{ kind: 'decide' as const, charges: [key], mode: 'take' as const }];
    const text = encodeCall({ epoch: 0, wishes }, new PolicyTexts());
    const send = async (payload: string) =>
      (await first.nats.request(`${ADDRESSES}.r0.call`, payload, { timeout: 1_000 })).json<unknown[]>();
    expect((await send(text.replace('"k",1', '"k",1.5')))[2]).toMatch(/cost is 1.5/);
    expect((await send('nonsense'))[2]).toMatch(/JSON|token/);
    // The second is none, so the first is not done either.
    expect((await send(text.replace(/\]{4}$/, ']],[99,[]]]]')))[2]).toMatch(/wish 99/);
    expect(await left(first, key)).toBe(10);
    expect(figure(first.backend, 'refused_total')).toBe(3);
    expect((await send(text))[2]).toEqual([[1, 1, 9, 0, expect.any(Number), 0]]);
  });

  test('a call of a later epoch than the owner knows is answered with moved, and so is one for keys of others', async () => {
    await start(2);
    const ids = ['r0', 'r1'];
    const [own, other] = [charge(keysOf('r0', ids, 1)[0]!, limit), charge(keysOf('r1', ids, 1)[0]!, limit)];
    const send = async (epoch: number, of: Charge) => {
      const wishes = [{ kind: 'decide' as const, charges: [of], mode: 'take' as const }];
      const text = encodeCall({ epoch, wishes }, new PolicyTexts());
      const reply = await replicas[1]!.nats.request(`${ADDRESSES}.r0.call`, text, { timeout: 1_000 });
      return reply.json<[number, number, unknown[]]>();
    };
    const epoch = figure(replicas[0]!.backend, 'epoch');
    expect(await send(epoch + 1, own)).toEqual([1, epoch, [null]]);
    expect(await send(epoch, other)).toEqual([1, epoch, [null]]);
    expect(await left(replicas[0]!, own)).toBe(10);
    expect((await send(epoch, own))[2][0]).not.toBeNull();
  });

  test('charges that are none are refused where they are asked for, near or far', async () => {
    const [first] = await start(3);
    for (const owner of ['r0', 'r1']) {
      const key = charge(keysOf(owner, IDS, 1)[0]!, limit, -1);
      await expect((async () => first.backend.decide([{ charges: [key], mode: 'take' }]))()).rejects.toThrow(
        /cost is -1/,
      );
    }
  });
});

describe('a replica that crashes', () => {
  test('its successors go on with what it last copied: units, blocks and holds', async () => {
    const [first, second, third] = await start(3, { copyMs: 20 });
    const [units, blocked] = keysOf('r2', IDS, 2).map((key) => charge(key, limit));
    const place = charge(keysOf('r2', IDS, 3)[2]!, policyOf({ algorithm: 'concurrency', limit: 2, holdMs: 60_000 }));
    await take(first, { ...units!, cost: 7 });
    await first.backend.block([blocked!], 60_000);
    await first.backend.hold({ charge: place, id: 'h', holdMs: 60_000 });
    await eventually(() => [first, second].reduce((sum, one) => sum + figure(one.backend, 'copies'), 0) >= 3);
    await third.crash();
    // Nobody owns them for a while, and that is said at once.
    expect((await take(first, units!)).isUndecided).toBe(true);
    await expect((async () => first.backend.grant(units!, 1, 1))()).rejects.toBeInstanceOf(BackendAway);
    replicas = [first, second];
    await settled(replicas);
    expect(await left(second, units!)).toBe(3);
    expect((await take(first, blocked!)).outcomes[0]).toMatchObject({ isAllowed: false, isBlocked: true });
    expect(await first.backend.hold({ charge: place, id: 'i', holdMs: 1_000 })).toMatchObject({
      isHeld: true,
      remaining: 0,
    });
    expect(await second.backend.release(place, 'h', {})).toBe(true);
  });

  test.each([
    ['permissive', 10],
    ['conservative', 0],
    ['auto', 0],
  ] as const)('without copies its keys begin as %s says', async (restart, remaining) => {
    const [first, second, third] = await start(3, { copyMs: 0, restart });
    const key = charge(keysOf('r2', IDS, 1)[0]!, policyOf({ algorithm: 'strict', limit: 10, windowMs: 60_000 }));
    await take(first, { ...key, cost: 7 });
    await third.crash();
    replicas = [first, second];
    await settled(replicas);
    expect(await left(first, key)).toBe(remaining);
  });
});

describe('a replica that is drained', () => {
  test('hands over units, blocks, denials, holds and claims, and brings calls to the others from then on', async () => {
    const [first, second, third] = await start(3);
    const keys = keysOf('r2', IDS, 5);
    const [units, blocked, near] = keys.map((key) => charge(key, limit));
    const place = charge(keys[3]!, policyOf({ algorithm: 'concurrency', limit: 1, holdMs: 60_000 }));
    const penalised = {
      ...charge(keys[4]!, policyOf({ limit: 1, windowMs: 3_000_000 })),
      penalty: { denials: 2, withinMs: 60_000, blockMs: 60_000 },
    };
    await take(first, { ...units!, cost: 4 });
    await first.backend.block([blocked!], 60_000);
    await first.backend.hold({ charge: place, id: 'h', holdMs: 60_000 });
    expect(await first.backend.claim(near!, 'once', 60_000)).toBe(true);
    await take(first, penalised);
    expect((await take(first, penalised)).outcomes[0]).toMatchObject({ isAllowed: false, isBlocked: false });
    await third.backend.drain();
    expect(third.backend.notReady()).toMatch(/left/);
    await settled([first, second]);
    for (const one of [first, second, third]) {
      expect(await left(one, units!)).toBe(6);
      expect((await take(one, blocked!)).outcomes[0]!.isBlocked).toBe(true);
      expect((await one.backend.hold({ charge: place, id: 'x', holdMs: 1_000 })).isHeld).toBe(false);
      expect(await one.backend.claim(near!, 'once', 60_000)).toBe(false);
    }
    expect((await take(first, penalised)).isAllowed).toBe(false);
    expect((await take(first, penalised)).outcomes[0]!.isBlocked).toBe(true);
    await third.backend.drain();
  });

  test('the last one has nobody to hand anything to, and decides until it is stopped', async () => {
    const [only] = await start(1);
    await only.backend.drain();
    expect((await take(only, charge('k', limit))).isAllowed).toBe(true);
    expect(only.backend.notReady()).toBeUndefined();
  });

  test('states of 20,000 keys change hands as they are, and back', async () => {
    const [first] = await start(1);
    const keys = Array.from({ length: 20_000 }, (_, at) => charge(`many:${at}`, limit, 1 + (at % 9)));
    first.backend.decide(keys.map((key) => ({ charges: [key], mode: 'take' })));
    const second = await startReplica(nats.url, { id: 'r1', bucket: `moves-${buckets}`, callMs: 500 });
    replicas.push(second);
    await settled(replicas);
    const check = async ({ backend }: Replica) => {
      for (let from = 0; from < keys.length; from += 1_000) {
        const some = keys.slice(from, from + 1_000);
        const looks = await backend.decide(some.map((key) => ({ charges: [{ ...key, cost: 0 }], mode: 'look' })));
        expect(looks.filter(({ outcomes }, at) => outcomes[0]?.remaining !== 10 - some[at]!.cost)).toEqual([]);
      }
    };
    await check(first);
    await check(second);
    await second.backend.drain();
    await settled([first]);
    await check(first);
    expect(figure(first.backend, 'states')).toBe(20_000);
  });
});

describe('when NATS is away', () => {
  test('own keys are decided until the lease ends, those of others not at all, and all are again when it is back', async () => {
    const server = await startTestNats();
    replicas = await startReplicas(server.url, 2, { heartbeatMs: 300, callMs: 200 });
    const [first] = replicas as [Replica, Replica];
    const ids = ['r0', 'r1'];
    const [own, other] = [charge(keysOf('r0', ids, 1)[0]!, limit), charge(keysOf('r1', ids, 1)[0]!, limit)];
    await take(first, other);
    await server.kill();
    await eventually(() => first.nats.isClosed() || figure(first.backend, 'leased') === 1);
    expect((await take(first, own)).isAllowed).toBe(true);
    await eventually(async () => {
      const startedMs = performance.now();
      await expect(take(first, other)).rejects.toBeInstanceOf(BackendAway);
      expect(performance.now() - startedMs).toBeLessThan(250);
    });
    // Some of a request were decided: the rest is told not to be.
    const [mine, theirs] = await first.backend.decide([
      { charges: [own], mode: 'take' },
      { charges: [other], mode: 'take' },
    ]);
    expect([mine!.isAllowed, theirs!.isUndecided]).toEqual([true, true]);
    await eventually(() => figure(first.backend, 'leased') === 0);
    expect(() => first.backend.decide([{ charges: [own], mode: 'take' }])).toThrow(BackendAway);
    expect(first.backend.notReady()).toBe('NATS is away');
    await server.start();
    await eventually(async () => {
      expect(await left(first, own)).toBe(8);
      expect(await left(first, other)).toBe(9);
    });
    await settled(replicas);
  });
});

describe('a member that the others do not count any more', () => {
  test('joins again, and is handed what it owns by those who had it meanwhile', async () => {
    const [first, second] = (await start(2)) as unknown as [Replica, Replica];
    const ids = ['r0', 'r1'];
    const key = charge(keysOf('r1', ids, 1)[0]!, limit);
    await take(first, key);
    await sleep(300);
    const kv = await new Kvm(first.nats).open(`moves-${buckets}`);
    await kv.delete('r1');
    await eventually(() => first.backend.replicas() === 1);
    await eventually(async () => (await take(first, key)).isAllowed, { timeoutMs: 10_000 });
    await settled(replicas);
    expect(await left(second, key)).toBe(8);
    expect(second.backend.notReady()).toBeUndefined();
  });

  test('a bucket that is deleted is made anew, and no state is lost', async () => {
    const [first, second] = (await start(2)) as unknown as [Replica, Replica];
    const keys = keysOf('r0', ['r0', 'r1'], 3)
      .concat(keysOf('r1', ['r0', 'r1'], 3))
      .map((key) => charge(key, limit));
    for (const key of keys) await take(first, { ...key, cost: 3 });
    await (await jetstreamManager(first.nats)).streams.delete(`KV_moves-${buckets}`);
    await sleep(1_500);
    await settled(replicas);
    for (const key of keys) expect(await left(second, key)).toBe(7);
  });
});

test('what the README lets the user of the service do is enough, for members and for the journal', async () => {
  const config = `authorization { users: [
    { user: anyone, password: anyone, permissions: { publish: [], subscribe: [] } }
    { user: ratelimit, password: ratelimit, permissions: {
      publish: { allow: [
        "plinth.ratelimit.v1.events.>", "plinth.ratelimit.v1.owner.>", "plinth.ratelimit.v1.quotas.>",
        "$KV.plinth-ratelimit-members.>", "$JS.API.INFO",
        "$JS.API.STREAM.INFO.KV_plinth-ratelimit-members", "$JS.API.STREAM.CREATE.KV_plinth-ratelimit-members",
        "$JS.API.STREAM.MSG.GET.KV_plinth-ratelimit-members",
        "$JS.API.CONSUMER.*.KV_plinth-ratelimit-members.>", "$JS.FC.KV_plinth-ratelimit-members.>",
        "$JS.API.STREAM.INFO.plinth-ratelimit-quotas", "$JS.API.STREAM.CREATE.plinth-ratelimit-quotas",
        "$JS.API.STREAM.MSG.GET.plinth-ratelimit-quotas",
        "$JS.API.CONSUMER.*.plinth-ratelimit-quotas", "$JS.API.CONSUMER.*.plinth-ratelimit-quotas.>",
        "$JS.API.CONSUMER.MSG.NEXT.plinth-ratelimit-quotas.>"
      ] }
      subscribe: { allow: ["plinth.ratelimit.v1.>", "$SRV.>", "_INBOX_ratelimit.>"] }
      allow_responses: true
    } } ] }
    no_auth_user: anyone`;
  const server = await startTestNats({ config });
  const refused: string[] = [];
  const join = async (id: string) => {
    const options = { servers: server.url, user: 'ratelimit', pass: 'ratelimit', inboxPrefix: '_INBOX_ratelimit' };
    const connection = await connect(options);
    void (async () => {
      for await (const status of connection.status()) if (status.type === 'error') refused.push(status.error.message);
    })();
    const { openOwners } = await import('../owners-backend.ts');
    const backend = await openOwners({ nats: connection, id, journal: {}, callMs: 500 });
    return { id, backend, nats: connection } as Replica;
  };
  const pair = [await join('p0'), await join('p1')];
  await settled(pair);
  const quota = policyOf({ algorithm: 'calendar', limit: 9, period: 'year' });
  for (let at = 0; at < 20; at++) expect((await take(pair[0]!, charge(`k${at}`, quota))).isAllowed).toBe(true);
  await pair[1]!.backend.drain();
  for (const { backend, nats: connection } of pair) {
    await backend.stop();
    await connection.close();
  }
  const again = await join('p2');
  for (let at = 0; at < 20; at++) expect(await left(again, charge(`k${at}`, quota))).toBe(8);
  await again.backend.stop();
  await again.nats.close();
  expect(refused).toEqual([]);
});
