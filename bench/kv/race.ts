/** The race: every opponent bears the same slots, in turns. */
import type { Progress } from '../program.ts';
import { type Heat, turns } from '../round.ts';
import type { Case, Lane } from './lane.ts';
import type { Opponent, Slot } from './opponent.ts';
import { type Options, operationsOf } from './options.ts';
import { isReference } from './targets.ts';

/** A lane that no target speaks of only has to show where it lies. */
const REFERENCE_SECONDS = 1;
const WARM_UP_SECONDS = 1;
const WARM_UP_CONNECTIONS = 64;
/** Keys only is the second row of pages, so it is run at one count: the middle of the default ones. */
const PAGE_KEYS_CONNECTIONS = 64;

/**
 * Runs all rounds; the opponents are filled already.
 * @returns The lanes in the order of the cases.
 * @throws Error when an answer was wrong anywhere: nothing of such a run is to be believed.
 */
export async function race(options: Options, opponents: readonly Opponent[], progress: Progress): Promise<Lane[]> {
  await warmUp(options, opponents, progress);
  const heats = casesOf(options).map((one) => heatOf(one, opponents));
  const lanes = heats.flatMap((heat) => heat.opponents);
  for (const turn of turns(options.rounds, heats)) {
    const { opponent, operation, connections, samples } = turn.opponent;
    const seconds = isReference(turn.opponent) ? Math.min(options.seconds, REFERENCE_SECONDS) : options.seconds;
    const sample = await opponent.bear({ operation, connections, seconds, seed: turn.round + 1 });
    samples.push(sample);
    const rate = `${Math.round(sample.perSecond)}/s`;
    progress(`round ${turn.round + 1}/${options.rounds}: ${operation} × ${connections}: ${opponent.name} ${rate}`);
  }
  for (const opponent of opponents) await opponent.verify();
  return lanes;
}

function casesOf(options: Options): Case[] {
  return operationsOf(options).flatMap((operation) => {
    const counts = operation === 'page-keys' ? [PAGE_KEYS_CONNECTIONS] : options.connections;
    return counts.map((connections) => ({ operation, connections }));
  });
}

function heatOf(one: Case, opponents: readonly Opponent[]): Heat<Case, Lane> {
  const able = opponents.filter(({ operations }) => operations.includes(one.operation));
  return { case: one, opponents: able.map((opponent) => ({ ...one, opponent, samples: [] })) };
}

/** Compilers, caches and connection pools reach their working state before anything counts; all at once is enough. */
async function warmUp(options: Options, opponents: readonly Opponent[], progress: Progress): Promise<void> {
  progress('warming up');
  for (const operation of operationsOf(options)) {
    const slot: Slot = { operation, connections: WARM_UP_CONNECTIONS, seconds: WARM_UP_SECONDS, seed: 0 };
    const able = opponents.filter(({ operations }) => operations.includes(operation));
    await Promise.all(able.map((opponent) => opponent.bear(slot)));
  }
}
