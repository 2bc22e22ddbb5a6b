const LEAST_CAPACITY = 1 << 10;
/** Larger tables are not kept. */
const MOST_KEPT = 1 << 16;

/** The number of occurrences of each term, by its hash: an open-addressed table that is quick to empty. */
export class TermCounts {
  /** Number of distinct terms. */
  size = 0;
  /** The terms in order of their first occurrence. */
  hashes = new Int32Array(LEAST_CAPACITY);
  /** The number of occurrences of each term. */
  counts = new Int32Array(LEAST_CAPACITY);
  /** The place of each term in the table. */
  #places = new Int32Array(LEAST_CAPACITY);
  /** The number of a term, from 1, or 0 for a free place. At least half of the places are free. */
  #table = new Int32Array(2 * LEAST_CAPACITY);

  /** @param hash An int32 whose low bits are mixed well. */
  add(hash: number): void {
    const mask = this.#table.length - 1;
    let place = hash & mask;
    for (let term = this.#table[place]!; term !== 0; term = this.#table[place]!) {
      if (this.hashes[term - 1] === hash) {
        this.counts[term - 1]!++;
        return;
      }
      place = (place + 1) & mask;
    }
    if (this.size === this.hashes.length) {
      this.#grow();
      this.add(hash);
      return;
    }
    this.hashes[this.size] = hash;
    this.counts[this.size] = 1;
    this.#places[this.size] = place;
    this.#table[place] = ++this.size;
  }

  clear(): void {
    if (this.hashes.length > MOST_KEPT) this.#allocate(LEAST_CAPACITY);
    else for (let i = 0; i < this.size; i++) this.#table[this.#places[i]!] = 0;
    this.size = 0;
  }

  #grow(): void {
    const { hashes, counts, size } = this;
    this.#allocate(2 * size);
    this.hashes.set(hashes);
    this.counts.set(counts);
    const mask = this.#table.length - 1;
    for (let i = 0; i < size; i++) {
      let place = hashes[i]! & mask;
      while (this.#table[place] !== 0) place = (place + 1) & mask;
      this.#places[i] = place;
      this.#table[place] = i + 1;
    }
  }

  #allocate(capacity: number): void {
    this.hashes = new Int32Array(capacity);
    this.counts = new Int32Array(capacity);
    this.#places = new Int32Array(capacity);
    this.#table = new Int32Array(2 * capacity);
  }
}
