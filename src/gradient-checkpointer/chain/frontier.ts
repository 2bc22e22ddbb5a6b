/** What memory buys: triples (bytes needed, cost, decision), where bytes ascend and costs descend. */
export type Frontier = Float64Array;

/** Two parts of a schedule. The part `above` has `size` bytes less than the part `beside`. */
interface Parts {
  above: Frontier;
  size: number;
  beside: Frontier;
  /** Cost in addition to the costs of the parts. */
  cost: number;
  decision: number;
}

/** Triples in an array that grows. */
class Points {
  values = new Float64Array(768);
  length = 0;

  /** Adds a point if it is cheaper than those before it. It must need at least as many bytes as they do. */
  add(need: number, cost: number, decision: number): void {
    const { values } = this;
    let end = this.length;
    if (end > 0 && cost >= values[end - 2]!) return;
    if (end > 0 && values[end - 3] === need) end -= 3;
    if (end + 3 > values.length) {
      this.values = new Float64Array(2 * values.length);
      this.values.set(values);
    }
    this.values[end] = need;
    this.values[end + 1] = cost;
    this.values[end + 2] = decision;
    this.length = end + 3;
  }
}

/** Builds the lower envelope of the points that are added, up to the budget. */
export class FrontierBuilder {
  readonly #budget: number;
  #best = new Points();
  #spare = new Points();
  readonly #sums = new Points();

  constructor(budget: number) {
    this.#budget = budget;
  }

  clear(): void {
    this.#best.length = 0;
  }

  /** Adds a schedule that `cost` more makes from another one. A state of `size` bytes must fit too, beside no other. */
  addMoved(frontier: Frontier, size: number, cost: number): void {
    for (let i = 0; i < frontier.length; i += 3) {
      this.#best.add(Math.max(frontier[i]!, size), frontier[i + 1]! + cost, 0);
    }
  }

  /** Adds a schedule of two parts, whose costs add up. */
  addParts({ above, size, beside, cost, decision }: Parts): void {
    const needAbove = (a: number): number => (a < above.length ? size + above[a]! : Infinity);
    const needBeside = (b: number): number => (b < beside.length ? beside[b]! : Infinity);
    const first = Math.max(needAbove(0), needBeside(0));
    // Most sums are nowhere below the envelope. This check finds most of them early.
    const last = cost + above[above.length - 2]! + beside[beside.length - 2]!;
    if (first > this.#budget || last >= this.#costAt(first)) return;

    const sums = this.#sums;
    sums.length = 0;
    for (let a = 0, b = 0, need = first; need <= this.#budget; need = Math.max(needAbove(a), needBeside(b))) {
      sums.add(need, cost + above[a + 1]! + beside[b + 1]!, decision);
      if (needAbove(a + 3) <= needBeside(b + 3)) a += 3;
      else b += 3;
    }
    this.#merge(sums);
  }

  /** The envelope. Of more than `mostPoints` points, evenly spaced ones are kept, the first and the last among them. */
  build(mostPoints: number): Frontier {
    const { values, length } = this.#best;
    const points = length / 3;
    if (points <= mostPoints) return values.slice(0, length);
    const thinned = new Float64Array(3 * mostPoints);
    for (let i = 0; i < mostPoints; i++) {
      const point = 3 * Math.round((i * (points - 1)) / (mostPoints - 1));
      thinned.set(values.subarray(point, point + 3), 3 * i);
    }
    return thinned;
  }

  #merge(sums: Points): void {
    const best = this.#best;
    const merged = this.#spare;
    merged.length = 0;
    for (let i = 0, j = 0; i < best.length || j < sums.length; ) {
      const isBest = j >= sums.length || (i < best.length && best.values[i]! <= sums.values[j]!);
      const { values } = isBest ? best : sums;
      const at = isBest ? i : j;
      merged.add(values[at]!, values[at + 1]!, values[at + 2]!);
      if (isBest) i += 3;
      else j += 3;
    }
    this.#best = merged;
    this.#spare = best;
  }

  #costAt(room: number): number {
    const { values, length } = this.#best;
    let cost = Infinity;
    for (let i = 0; i < length && values[i]! <= room; i += 3) cost = values[i + 1]!;
    return cost;
  }
}
