/**
 * An epoch cut into batches: the order of its examples, and where in it each batch starts; last, where the last one
 * ends.
 */
export interface Partition {
  indices: number[];
  starts: number[];
}

/** Stands for "no batch yet". */
const NONE = -1;

/**
 * Cuts an order into batches in which no two examples share a label on either side, and as few of them as can be.
 *
 * Examples are the edges of a bipartite multigraph between inputs and outputs, and batches a colouring of them: as many
 * colours as the commonest label has examples are enough (Kőnig 1916), and colours can be evened out by exchanging
 * alternating paths (de Werra 1971). So the number of batches is `max(commonest label, ⌈n / batchSize⌉)`.
 *
 * Each example goes to the batch where a plain cut puts it, or to the next that will take it. Examples without any
 * duplicate fill up what is left, first batches first; without duplicates at all the cut is the plain one.
 *
 * @param order Examples of the epoch, which may name one twice.
 * @param inputs Label of each example's input, a small integer.
 * @param outputs Label of each example's output, a small integer.
 * @param onlyFull Whether batches of fewer than `batchSize` are left out; batches are then filled up one after the
 *   other, otherwise as evenly as can be where they cannot all be full.
 */
export function withoutDuplicates(
  order: readonly number[],
  inputs: Int32Array,
  outputs: Int32Array,
  batchSize: number,
  onlyFull: boolean,
): Partition {
  const inputCounts = countsOf(order, inputs);
  const outputCounts = countsOf(order, outputs);
  const fewest = Math.ceil(order.length / batchSize);
  const batches = Math.max(largest(inputCounts), largest(outputCounts), fewest);
  const isEven = batches > fewest && !onlyFull;
  const capacity = isEven ? Math.ceil(order.length / batches) : batchSize;

  const tied: number[] = [];
  const free: number[] = [];
  for (let at = 0; at < order.length; at++) {
    const isFree = inputCounts[inputs[order[at]!]!] === 1 && outputCounts[outputs[order[at]!]!] === 1;
    (isFree ? free : tied).push(at);
  }
  const colouring = new Colouring(order, inputs, outputs, batches, capacity);
  for (const at of tied) colouring.add(at);
  colouring.even(capacity);

  const { batchOf, sizes } = colouring;
  const targets = isEven ? evenTargets(order.length, sizes) : new Int32Array(batches).fill(capacity);
  let next = 0;
  for (const at of free) {
    while (sizes[next]! >= targets[next]!) next++;
    batchOf[at] = next;
    sizes[next]!++;
  }
  // Where the free ones did not suffice to even out the others.
  if (isEven) colouring.even(Math.floor(order.length / batches));
  const kept = Array.from(sizes.keys()).filter(batch => !onlyFull || sizes[batch] === batchSize);
  return cut(order, batchOf, sizes, kept);
}

/** Batches of examples by position in the order, no two of one batch with a label in common. */
class Colouring {
  /** Batch of each position. */
  readonly batchOf: Int32Array;
  /** Examples in each batch. */
  readonly sizes: Int32Array;

  readonly #order: readonly number[];
  readonly #inputs: Int32Array;
  readonly #outputs: Int32Array;
  readonly #capacity: number;
  /** Position by label and batch; labels of outputs follow those of inputs. */
  readonly #positions = new Map<number, number>();
  readonly #firstOutput: number;

  constructor(order: readonly number[], inputs: Int32Array, outputs: Int32Array, batches: number, capacity: number) {
    this.#order = order;
    this.#inputs = inputs;
    this.#outputs = outputs;
    this.#capacity = capacity;
    this.#firstOutput = largest(inputs) + 1;
    this.batchOf = new Int32Array(order.length).fill(NONE);
    this.sizes = new Int32Array(batches);
  }

  /** Puts the example at a position into a batch. */
  add(at: number): void {
    const [input, output] = [this.#input(at), this.#output(at)];
    const wanted = Math.floor(at / this.#capacity);
    const common =
      this.#find(wanted, batch => this.sizes[batch]! < this.#capacity && this.#takes(batch, input, output)) ??
      this.#find(wanted, batch => this.#takes(batch, input, output));
    if (common !== undefined) {
      this.#put(at, common);
      return;
    }
    // Neither label fills all batches: exchange the two free ones along the path that starts at the output.
    const ofInput = this.#find(wanted, batch => this.#at(input, batch) === undefined)!;
    const ofOutput = this.#find(wanted, batch => this.#at(output, batch) === undefined)!;
    this.#exchange(this.#path(output, ofInput, ofOutput), ofInput, ofOutput);
    this.#put(at, ofInput);
  }

  /**
   * Moves added examples from batches of more than `level` to those of fewer, until there are none of the one or the
   * other.
   */
  even(level: number): void {
    const { sizes } = this;
    for (let roomy = 0; sizes.some(size => size > level); ) {
      if (!sizes.some(size => size < level)) return;
      this.#members().forEach((positions, full) => {
        for (const at of positions) {
          if (sizes[full]! <= level) return;
          if (this.batchOf[at] !== full) continue;
          while (roomy < sizes.length && sizes[roomy]! >= level) roomy++;
          if (roomy === sizes.length) return;
          // Exchanging a path that holds one more example of the full batch than of the roomy one moves one over. There
          // is such a path, as no other path and no cycle holds a surplus.
          const forth = this.#path(this.#input(at), full, roomy);
          const back = this.#path(this.#output(at), full, roomy).slice(1);
          if (forth.length % 2 === 1 && back.length % 2 === 0) this.#exchange([...forth, ...back], full, roomy);
        }
      });
    }
  }

  /** Positions in turn from a label on: the first batch's, then the other's, and so on. */
  #path(label: number, first: number, other: number): number[] {
    const path: number[] = [];
    for (let [from, batch] = [label, first]; ; ) {
      const at = this.#at(from, batch);
      if (at === undefined || at === path[0]) return path;
      path.push(at);
      from = from === this.#input(at) ? this.#output(at) : this.#input(at);
      batch = batch === first ? other : first;
    }
  }

  #exchange(path: readonly number[], one: number, other: number): void {
    const targets = path.map(at => (this.batchOf[at] === one ? other : one));
    for (const at of path) this.#take(at);
    path.forEach((at, i) => {
      this.#put(at, targets[i]!);
    });
  }

  #put(at: number, batch: number): void {
    this.batchOf[at] = batch;
    this.sizes[batch]!++;
    this.#positions.set(this.#key(this.#input(at), batch), at);
    this.#positions.set(this.#key(this.#output(at), batch), at);
  }

  #take(at: number): void {
    const batch = this.batchOf[at]!;
    this.sizes[batch]!--;
    this.#positions.delete(this.#key(this.#input(at), batch));
    this.#positions.delete(this.#key(this.#output(at), batch));
  }

  /** The first batch, from the wanted one on and around, that fits. */
  #find(wanted: number, fits: (batch: number) => boolean): number | undefined {
    const { length } = this.sizes;
    for (let i = 0, batch = Math.min(wanted, length - 1); i < length; i++, batch++) {
      if (batch === length) batch = 0;
      if (fits(batch)) return batch;
    }
    return undefined;
  }

  #takes(batch: number, input: number, output: number): boolean {
    return this.#at(input, batch) === undefined && this.#at(output, batch) === undefined;
  }

  #members(): number[][] {
    const members = Array.from(this.sizes, (): number[] => []);
    this.batchOf.forEach((batch, at) => {
      if (batch !== NONE) members[batch]!.push(at);
    });
    return members;
  }

  #at(label: number, batch: number): number | undefined {
    return this.#positions.get(this.#key(label, batch));
  }

  #key(label: number, batch: number): number {
    return label * this.sizes.length + batch;
  }

  #input(at: number): number {
    return this.#inputs[this.#order[at]!]!;
  }

  #output(at: number): number {
    return this.#firstOutput + this.#outputs[this.#order[at]!]!;
  }
}

/** How many examples each batch is to have, to within one of each other; batches that have one more already keep it. */
function evenTargets(count: number, sizes: Int32Array): Int32Array {
  const base = Math.floor(count / sizes.length);
  let extra = count - base * sizes.length;
  for (const size of sizes) if (size > base) extra--;
  return sizes.map(size => (size > base || extra-- > 0 ? base + 1 : base));
}

/** The examples of some batches, batch by batch, in each as they were ordered. */
function cut(order: readonly number[], batchOf: Int32Array, sizes: Int32Array, batches: readonly number[]): Partition {
  const starts = [0];
  const next = new Int32Array(sizes.length).fill(NONE);
  for (const batch of batches) {
    next[batch] = starts.at(-1)!;
    starts.push(starts.at(-1)! + sizes[batch]!);
  }
  const indices = new Array<number>(starts.at(-1)!).fill(0);
  for (let at = 0; at < order.length; at++) {
    const batch = batchOf[at]!;
    if (next[batch] !== NONE) indices[next[batch]!++] = order[at]!;
  }
  return { indices, starts };
}

function countsOf(order: readonly number[], labels: Int32Array): Int32Array {
  const counts = new Int32Array(largest(labels) + 1);
  for (const index of order) counts[labels[index]!]!++;
  return counts;
}

function largest(values: Int32Array): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, values[i]!);
  return most;
}
