/** How long the random tests run: some seconds each in `npm test`, as long as wanted with KV_FAULT_ROUNDS. */

const { KV_FAULT_ROUNDS } = process.env;

/** Rounds of a random test. @param short - As many as `npm test` has time for. */
export const rounds = (short: number): number => (KV_FAULT_ROUNDS ? Number(KV_FAULT_ROUNDS) : short);

/** Time limit of a random test, generous for a machine that has other work. */
export const roundsMs = (short: number): number => 60_000 + rounds(short) * 10_000;
