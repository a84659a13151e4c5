/**
 * The characters of all keys of a table, outside of V8's heap: no string header, nothing for the garbage collector to
 * walk, and no key that keeps the request body alive of which it was a slice. Cells of a few sizes in pages; a freed
 * cell is the next one of its size. A key costs its bytes (two per character when one is beyond Latin-1) plus two,
 * rounded up to a size. Pages are never given back: what the busiest moment needed stays for the next one.
 */
const PAGE_BYTES = 65_536;
/** A `ref` is a size and a number: 26 bits for the number, 6 for the size. */
const NUMBER_BITS = 26;
const NUMBER_MASK = (1 << NUMBER_BITS) - 1;
/** Characters of a key that can be kept. */
export const KEY_LENGTH_MAX = 4_096;
const HEADER_BYTES = 2;
const WIDE = 0x8000;

/** Eighths of a line up to 64, then four sizes per doubling: at most a fifth of a cell is unused. */
const SIZES = [16, 24, 32, 40, 48, 56, 64];
for (let base = 64; base <= 8_192; base *= 2) SIZES.push(base * 1.25, base * 1.5, base * 1.75, base * 2);

interface Shelf {
  readonly size: number;
  /** Cells of a page, as a power of two. */
  readonly pageBits: number;
  readonly pages: Uint8Array[];
  cells: number;
  firstFree: number;
}

export class KeyHeap {
  readonly #shelves: Shelf[] = SIZES.map((size) => ({
    size,
    pageBits: Math.floor(Math.log2(PAGE_BYTES / size)),
    pages: [],
    cells: 0,
    firstFree: -1,
  }));

  /** Keeps a key. @returns What `read`, `equals` and `drop` know it by. */
  write(key: string): number {
    const isWide = hasWide(key);
    const ref = this.#cell(HEADER_BYTES + (isWide ? key.length * 2 : key.length));
    const page = this.#page(ref);
    let at = this.#offset(ref);
    const header = key.length | (isWide ? WIDE : 0);
    page[at++] = header;
    page[at++] = header >> 8;
    for (let index = 0; index < key.length; index++) {
      const code = key.charCodeAt(index);
      page[at++] = code;
      if (isWide) page[at++] = code >> 8;
    }
    return ref;
  }

  read(ref: number): string {
    const page = this.#page(ref);
    const at = this.#offset(ref);
    const header = page[at]! | (page[at + 1]! << 8);
    const length = header & ~WIDE;
    const from = at + HEADER_BYTES;
    const bytes = Buffer.from(page.buffer, page.byteOffset + from, header & WIDE ? length * 2 : length);
    return bytes.toString(header & WIDE ? 'utf16le' : 'latin1');
  }

  equals(ref: number, key: string): boolean {
    const page = this.#page(ref);
    let at = this.#offset(ref);
    const header = page[at]! | (page[at + 1]! << 8);
    if ((header & ~WIDE) !== key.length) return false;
    at += HEADER_BYTES;
    if (header & WIDE) return equalsWide(page, at, key);
    for (let index = 0; index < key.length; index++) if (page[at + index] !== key.charCodeAt(index)) return false;
    return true;
  }

  drop(ref: number): void {
    const shelf = this.#shelves[ref >>> NUMBER_BITS]!;
    const page = this.#page(ref);
    const at = this.#offset(ref);
    for (let byte = 0; byte < 4; byte++) page[at + byte] = shelf.firstFree >> (byte * 8);
    shelf.firstFree = ref & NUMBER_MASK;
  }

  #cell(bytes: number): number {
    let kind = 0;
    while (SIZES[kind]! < bytes) kind++;
    const shelf = this.#shelves[kind]!;
    const freed = shelf.firstFree;
    if (freed < 0) return (kind << NUMBER_BITS) | this.#newCell(shelf);
    const ref = (kind << NUMBER_BITS) | freed;
    const page = this.#page(ref);
    const at = this.#offset(ref);
    shelf.firstFree = page[at]! | (page[at + 1]! << 8) | (page[at + 2]! << 16) | (page[at + 3]! << 24);
    return ref;
  }

  #newCell(shelf: Shelf): number {
    if (shelf.cells >> shelf.pageBits === shelf.pages.length) {
      shelf.pages.push(new Uint8Array(shelf.size << shelf.pageBits));
    }
    return shelf.cells++;
  }

  #page(ref: number): Uint8Array {
    const shelf = this.#shelves[ref >>> NUMBER_BITS]!;
    return shelf.pages[(ref & NUMBER_MASK) >> shelf.pageBits]!;
  }

  #offset(ref: number): number {
    const { pageBits, size } = this.#shelves[ref >>> NUMBER_BITS]!;
    return (ref & ((1 << pageBits) - 1)) * size;
  }
}

function hasWide(key: string): boolean {
  for (let index = 0; index < key.length; index++) if (key.charCodeAt(index) > 0xff) return true;
  return false;
}

function equalsWide(page: Uint8Array, from: number, key: string): boolean {
  for (let index = 0, at = from; index < key.length; index++, at += 2) {
    if ((page[at]! | (page[at + 1]! << 8)) !== key.charCodeAt(index)) return false;
  }
  return true;
}
