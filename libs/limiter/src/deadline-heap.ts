/** Things by the moment they end: the earliest at hand, any other moved or taken out in logarithmic time. A binary heap. */
export interface Ending {
  untilUs: number;
  /** Where it is in its heap; −1 in none. For the heap alone. */
  place: number;
}

export class DeadlineHeap<T extends Ending> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** The one that ends first. */
  get earliest(): T | undefined {
    return this.#items[0];
  }

  /** Puts a thing in, or where it belongs now that it ends at another moment. */
  put(item: T, untilUs: number): void {
    item.untilUs = untilUs;
    if (item.place < 0) item.place = this.#items.push(item) - 1;
    this.#rise(item);
    this.#sink(item);
  }

  remove(item: T): void {
    const { place } = item;
    if (place < 0) return;
    item.place = -1;
    const last = this.#items.pop()!;
    if (last === item) return;
    this.#set(last, place);
    this.#rise(last);
    this.#sink(last);
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#items.values();
  }

  #set(item: T, place: number): void {
    this.#items[place] = item;
    item.place = place;
  }

  #rise(item: T): void {
    for (let place = item.place; place > 0; place = item.place) {
      const parent = this.#items[(place - 1) >> 1]!;
      if (parent.untilUs <= item.untilUs) return;
      this.#set(parent, place);
      this.#set(item, (place - 1) >> 1);
    }
  }

  #sink(item: T): void {
    for (;;) {
      const { place } = item;
      const left = this.#items[place * 2 + 1];
      const right = this.#items[place * 2 + 2];
      const child = right !== undefined && right.untilUs < left!.untilUs ? right : left;
      if (child === undefined || child.untilUs >= item.untilUs) return;
      const below = child.place;
      this.#set(child, place);
      this.#set(item, below);
    }
  }
}
