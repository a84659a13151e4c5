/**
 * Entries as they stand in pages, written out: those of the last pages, within a bound. What a revision wrote never
 * changes, so neither does its text, and nothing here has to be told of writes. A hit costs 0.2 µs where reading an
 * entry and writing it out costs 2 (the `page` rows of `npm run bench -- kv`).
 *
 * A few generations, the youngest first. When it is full a new one begins and the oldest is dropped whole; what is found
 * in the oldest moves to the youngest, so what is used stays.
 */
import type { Version } from '../core/layout.ts';

/** Places that revisions have in the map's keys; changes further back in their revision are not kept. */
const SEQUENCES = 1_024;
const GENERATIONS = 4;
/** What a map holds for a text besides its characters. */
const OVERHEAD_BYTES = 80;

export class EntryTexts {
  readonly #generationBytes: number;
  readonly #generations: Map<number, string>[] = [new Map()];
  #youngestBytes = 0;

  /** @param bytesMax - 0: nothing is kept. */
  constructor(bytesMax: number) {
    this.#generationBytes = bytesMax / GENERATIONS;
  }

  /** The text of a version of this engine, written out by `write` when it is not here. */
  of({ revision, sequence }: Version, write: () => string): string {
    if (sequence >= SEQUENCES) return write();
    const place = revision * SEQUENCES + sequence;
    const generations = this.#generations;
    for (let age = 0; age < generations.length; age++) {
      const text = generations[age]!.get(place);
      if (text === undefined) continue;
      if (age === GENERATIONS - 1) this.#keep(place, text);
      return text;
    }
    const text = write();
    this.#keep(place, text);
    return text;
  }

  #keep(place: number, text: string): void {
    const bytes = text.length + OVERHEAD_BYTES;
    if (bytes > this.#generationBytes) return;
    if (this.#youngestBytes + bytes > this.#generationBytes) {
      this.#generations.unshift(new Map());
      this.#generations.length = Math.min(this.#generations.length, GENERATIONS);
      this.#youngestBytes = 0;
    }
    this.#generations[0]!.set(place, text);
    this.#youngestBytes += bytes;
  }
}
