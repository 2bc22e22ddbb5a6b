import { countsOf, type Deal, largest, NONE } from './deal.js';
import { MinHeap } from './min-heap.js';

/** Most examples of one label that are tried before another label is. */
const TRIES = 8;
/** Most examples that are tried of a label that must be in the batch. */
const TRIES_OF_DUE = 64;

/**
 * Deals positions to one batch after another. A label that has as many examples left as there are batches must be in the
 * batch, so such labels come first. Then come the earliest positions that fit. Takes about constant time per example.
 *
 * @returns The first batch that could not be made in this way, or the number of batches. The examples that are left fit
 *   into the batches that are left, and have no label more often than there are such batches.
 */
export function dealEarliest(problem: Deal, batchOf: Int32Array): number {
  const { batches, capacity, isEven } = problem;
  const { length } = batchOf;
  const isByInput = largest(countsOf(problem.inputs)) >= largest(countsOf(problem.outputs));
  const main = new Side(isByInput ? problem.inputs : problem.outputs, batches);
  const other = new Side(isByInput ? problem.outputs : problem.inputs, batches);
  /** The earliest position of each main label that has a position before `next`. */
  const behind = new MinHeap();
  const isBehind = new Uint8Array(main.counts.length);
  let next = 0;
  let left = length;
  const batch = { number: 0, members: [] as number[] };

  const take = (at: number): void => {
    main.take(at, batch.number);
    other.take(at, batch.number);
    batchOf[at] = batch.number;
    batch.members.push(at);
  };
  /** Takes the earliest example of a label that fits. Returns whether there was one. */
  const takeOf = (label: number, side: Side, opposite: Side, tries: number): boolean => {
    for (let at = side.first[label]!, i = 0; at !== NONE && i < tries; at = side.next[at]!, i++) {
      if (opposite.isIn(opposite.labels[at]!, batch.number)) continue;
      take(at);
      return true;
    }
    return false;
  };
  /** Notes whether a label has a position before `next`. */
  const note = (label: number): void => {
    const first = main.first[label]!;
    isBehind[label] = first !== NONE && first < next ? 1 : 0;
    if (isBehind[label] === 1) behind.add(first);
  };
  /** The main label of the earliest example that is left and whose label was not tried in this batch. */
  const nextLabel = (): number => {
    while (behind.size > 0) {
      const at = behind.take();
      if (batchOf[at] === NONE) return main.labels[at]!;
      // The position was taken for its other label.
      note(main.labels[at]!);
    }
    while (next < length && (batchOf[next] !== NONE || isBehind[main.labels[next]!] === 1)) next++;
    if (next === length) return NONE;
    const label = main.labels[next++]!;
    isBehind[label] = 1;
    return label;
  };
  const fill = (target: number): void => {
    const seen: number[] = [];
    let skipped = 0;
    while (batch.members.length < target && skipped <= 2 * target + 16) {
      const label = nextLabel();
      if (label === NONE) break;
      seen.push(label);
      if (!main.isIn(label, batch.number) && !takeOf(label, main, other, TRIES)) skipped++;
    }
    seen.forEach(note);
  };

  for (; batch.number < batches; batch.number++) {
    const { number } = batch;
    const target = isEven ? portion(length, batches, number) : capacity;
    batch.members = [];
    const hasDue =
      main.due(number).every(label => main.isIn(label, number) || takeOf(label, main, other, TRIES_OF_DUE)) &&
      other.due(number).every(label => other.isIn(label, number) || takeOf(label, other, main, TRIES_OF_DUE));
    if (hasDue && batch.members.length < target) fill(target);
    const { length: size } = batch.members;
    const fits = isEven ? size === target : size <= target && left - size <= capacity * (batches - number - 1);
    if (!hasDue || !fits) {
      for (const at of batch.members) batchOf[at] = NONE;
      return number;
    }
    left -= size;
  }
  return batches;
}

/** The size of a batch, if sizes differ by at most one and the larger batches are spread evenly. */
function portion(count: number, batches: number, batch: number): number {
  return Math.ceil(((batch + 1) * count) / batches) - Math.ceil((batch * count) / batches);
}

/** The labels of one side. Each has a list of the positions that are left, in their order. */
class Side {
  readonly labels: Int32Array;
  /** Number of positions left, by label. */
  readonly counts: Int32Array;
  /** The earliest position left, by label. */
  readonly first: Int32Array;
  /** The next position left that has the same label, by position. */
  readonly next: Int32Array;

  readonly #previous: Int32Array;
  /** The last batch that each label is in. */
  readonly #lastIn: Int32Array;
  readonly #batches: number;
  /** Labels that must be in every batch from now on. */
  readonly #due: number[] = [];
  /** Lists of the labels that may become due at a batch: the first label by batch, and the next label by label. */
  readonly #dueAt: Int32Array;
  readonly #nextDue: Int32Array;

  constructor(labels: Int32Array, batches: number) {
    this.labels = labels;
    this.counts = countsOf(labels);
    const { length: count } = this.counts;
    this.first = new Int32Array(count).fill(NONE);
    this.next = new Int32Array(labels.length).fill(NONE);
    this.#previous = new Int32Array(labels.length).fill(NONE);
    this.#lastIn = new Int32Array(count).fill(NONE);
    this.#batches = batches;
    for (let at = labels.length - 1; at >= 0; at--) {
      const label = labels[at]!;
      const later = this.first[label]!;
      this.next[at] = later;
      if (later !== NONE) this.#previous[later] = at;
      this.first[label] = at;
    }
    this.#dueAt = new Int32Array(batches).fill(NONE);
    this.#nextDue = new Int32Array(count).fill(NONE);
    // A label that occurs once never clashes, and the last batch takes all positions that are left.
    for (let label = 0; label < count; label++) if (this.counts[label]! > 1) this.#schedule(label);
  }

  /** The labels that must be in a batch. Must be called for each batch in turn. */
  due(batch: number): readonly number[] {
    for (let label = this.#dueAt[batch]!, following = NONE; label !== NONE; label = following) {
      following = this.#nextDue[label]!;
      if (this.#batches - this.counts[label]! <= batch) this.#due.push(label);
      else if (this.counts[label]! > 0) this.#schedule(label);
    }
    return this.#due;
  }

  isIn(label: number, batch: number): boolean {
    return this.#lastIn[label] === batch;
  }

  /** Moves a position from its list into a batch. */
  take(at: number, batch: number): void {
    const label = this.labels[at]!;
    const [earlier, later] = [this.#previous[at]!, this.next[at]!];
    if (earlier === NONE) this.first[label] = later;
    else this.next[earlier] = later;
    if (later !== NONE) this.#previous[later] = earlier;
    this.counts[label]!--;
    this.#lastIn[label] = batch;
  }

  /** Schedules a label for the batch at which as many batches are left as the label has examples now. */
  #schedule(label: number): void {
    const batch = this.#batches - this.counts[label]!;
    this.#nextDue[label] = this.#dueAt[batch]!;
    this.#dueAt[batch] = label;
  }
}
