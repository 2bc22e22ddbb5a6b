import { randomFor } from '../internal/random.js';
import { countsOf, type Deal, NONE } from './deal.js';

/** Seed of the random walks, which decide how soon a matching is found, and which one. */
const WALKS = 0x77616c6b;

/**
 * Deals the positions that have no batch yet to the batches from `first` on. The sizes of these batches differ by at most
 * one. No label may be left more often than there are such batches.
 *
 * Labels with few examples are joined to groups. A group holds at most as many examples as there are batches, so each
 * side has about twice as many groups as a batch has examples. Dummy edges give all groups the same degree. Such a graph
 * is a sum of perfect matchings (Kőnig 1916), one for each batch. Random walks find a matching in
 * `O(groups · log groups)` steps (Goel, Kapralov and Khanna 2010, "Perfect matchings in O(n log n) time in regular
 * bipartite graphs"). All matchings together take about log(groups) steps per example.
 */
export function dealMatchings({ inputs, outputs, batches }: Deal, batchOf: Int32Array, first: number): void {
  const left = positionsLeft(batchOf);
  const graph = regularGraph(
    left.map(at => inputs[at]!),
    left.map(at => outputs[at]!),
    batches - first,
  );
  const matching = new Matching(graph);
  for (let batch = first; batch < batches; batch++) {
    matching.takeNext(edge => {
      batchOf[left[edge]!] = batch;
    });
  }
}

function positionsLeft(batchOf: Int32Array): Int32Array {
  const positions = new Int32Array(batchOf.reduce((count, batch) => count + (batch === NONE ? 1 : 0), 0));
  for (let at = 0, i = 0; at < batchOf.length; at++) if (batchOf[at] === NONE) positions[i++] = at;
  return positions;
}

/** A bipartite multigraph in which every vertex has equally many edges. */
interface RegularGraph {
  /** Vertices on either side. */
  size: number;
  /** Edges at each vertex. */
  degree: number;
  /** The right vertex of each edge. The edges of each left vertex follow each other, `degree` per vertex. */
  ends: Int32Array;
  /** The number of each edge, in the same places. `NONE` for a dummy. */
  numbers: Int32Array;
}

function regularGraph(inputs: Int32Array, outputs: Int32Array, degree: number): RegularGraph {
  const { length: real } = inputs;
  const matched = Math.ceil(real / degree);
  const [starts, ends] = [joined(inputs, degree), joined(outputs, degree)];
  // One more group per side holds the edges that matchings lack to be equal, so that no matching lacks two edges.
  const missing = matched * degree - real;
  const [lefts, rights] = [starts.sizes, ends.sizes];
  if (missing > 0) {
    lefts.push(missing);
    rights.push(missing);
  }
  const size = lefts.length + rights.length - matched;
  const graph = { size, degree, ends: new Int32Array(size * degree), numbers: new Int32Array(size * degree) };
  const filled = new Int32Array(size);
  const add = (start: number, end: number, number: number): void => {
    const place = start * degree + filled[start]!++;
    graph.ends[place] = end;
    graph.numbers[place] = number;
  };
  for (let edge = 0; edge < real; edge++) add(starts.groups[edge]!, ends.groups[edge]!, edge);
  for (let i = 0; i < missing; i++) add(lefts.length - 1, rights.length - 1, NONE);
  // Dummy vertices of one side take the edges that the groups of the other side lack.
  let lacking = 0;
  lefts.forEach((count, group) => {
    for (let k = count; k < degree; k++, lacking++) add(group, rights.length + Math.floor(lacking / degree), NONE);
  });
  lacking = 0;
  rights.forEach((count, group) => {
    for (let k = count; k < degree; k++, lacking++) add(lefts.length + Math.floor(lacking / degree), group, NONE);
  });
  return graph;
}

/** Joins labels to groups of at most `capacity` examples. All groups except one are more than half full. */
function joined(labels: Int32Array, capacity: number): { groups: Int32Array; sizes: number[] } {
  const counts = countsOf(labels);
  const groupOf = new Int32Array(counts.length);
  const sizes: number[] = [];
  for (let label = 0; label < counts.length; label++) {
    if (2 * counts[label]! > capacity) groupOf[label] = sizes.push(counts[label]!) - 1;
  }
  for (let label = 0, group = 0; label < counts.length; label++) {
    const count = counts[label]!;
    if (count === 0 || 2 * count > capacity) continue;
    while (group < sizes.length && sizes[group]! + count > capacity) group++;
    if (group === sizes.length) sizes.push(0);
    sizes[group]! += count;
    groupOf[label] = group;
  }
  return { groups: labels.map(label => groupOf[label]!), sizes };
}

/** Removes one perfect matching after another from a regular graph. */
class Matching {
  readonly #graph: RegularGraph;
  readonly #random = randomFor(WALKS);
  /** Edges left at each vertex. */
  #degree: number;
  /** The matched edge of each left vertex, as its place among that vertex's edges. */
  readonly #places: Int32Array;
  /** The left vertex that each right vertex is matched with. */
  readonly #mates: Int32Array;
  /** The edge by which a walk last left each left vertex. */
  readonly #exits: Int32Array;

  constructor(graph: RegularGraph) {
    this.#graph = graph;
    this.#degree = graph.degree;
    this.#places = new Int32Array(graph.size);
    this.#mates = new Int32Array(graph.size);
    this.#exits = new Int32Array(graph.size);
  }

  /** Removes the next matching, and visits the numbers of its edges. */
  takeNext(visit: (edge: number) => void): void {
    const { size, degree, ends, numbers } = this.#graph;
    this.#places.fill(NONE);
    this.#mates.fill(NONE);
    for (let vertex = 0; vertex < size; vertex++) this.#match(vertex);
    this.#degree--;
    for (let vertex = 0; vertex < size; vertex++) {
      const place = vertex * degree + this.#places[vertex]!;
      const last = vertex * degree + this.#degree;
      if (numbers[place] !== NONE) visit(numbers[place]!);
      ends[place] = ends[last]!;
      numbers[place] = numbers[last]!;
    }
  }

  /** Walks at random from a left vertex to a right vertex without a mate, then swaps the edges of that path. */
  #match(start: number): void {
    const { degree, ends } = this.#graph;
    const places = this.#places;
    const mates = this.#mates;
    const exits = this.#exits;
    for (let vertex = start; vertex !== NONE; ) {
      const matched = places[vertex]!;
      let place = Math.floor(this.#random() * (matched === NONE ? this.#degree : this.#degree - 1));
      if (matched !== NONE && place >= matched) place++;
      exits[vertex] = place;
      vertex = mates[ends[vertex * degree + place]!]!;
    }
    // The last exits give the path without the loops of the walk.
    for (let vertex = start; vertex !== NONE; ) {
      const place = exits[vertex]!;
      const end = ends[vertex * degree + place]!;
      const mate = mates[end]!;
      places[vertex] = place;
      mates[end] = vertex;
      vertex = mate;
    }
  }
}
