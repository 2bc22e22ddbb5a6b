import { inWords } from '../internal/validate.js';
import { countsOf, labelsAt, largest, NONE } from './deal.js';
import type { Labels } from './labels.js';
import type { Partition } from './no-duplicates.js';
import type { Shard } from './shard.js';

/** Most examples of one label that are tried before another label is. */
const TRIES = 8;

/**
 * One worker's part of the steps that all workers take together: every `worldSize`-th example of each step, from `rank`
 * on. All workers have equally many batches.
 *
 * With `pad: 'repeat'`, a step is filled to equal parts with examples of other steps, none of which is a duplicate of an
 * example in the step. Where there is no such example, parts differ by one.
 *
 * @throws RangeError where a worker would have a step without an example.
 */
export function shardOfSteps(
  call: string,
  { indices, starts }: Partition,
  labels: Labels,
  { rank, worldSize, pad = 'repeat' }: Shard,
): Partition {
  const spares = pad === 'repeat' ? new Spares(indices, labels) : undefined;
  const part: Partition = { indices: [], starts: [0] };
  for (let step = 0; step + 1 < starts.length; step++) {
    const members = indices.slice(starts[step], starts[step + 1]);
    spares?.fill(members, Math.ceil(members.length / worldSize) * worldSize, worldSize);
    if (members.length < worldSize) {
      const found = inWords(members.length, 'example');
      const reason = spares ? 'there are no more without duplicates' : "pad: 'none' repeats none";
      throw new RangeError(
        `${call}: shard and noDuplicates leave ${found} for ${worldSize} workers in a step; ${reason}`,
      );
    }
    for (let i = rank; i < members.length; i += worldSize) part.indices.push(members[i]!);
    part.starts.push(part.indices.length);
  }
  return part;
}

/** The examples of an epoch, which are repeated in turn. */
class Spares {
  readonly #indices: readonly number[];
  readonly #labels: Labels;
  /** Labels in the order in which they first occur, of the side that has the commonest label. They are tried in turn. */
  readonly #turns: number[] = [];
  /** Examples by label. */
  readonly #examples: number[][];
  readonly #byInput: boolean;
  /** Index of the next example of a label, by label. */
  readonly #next: Int32Array;
  #turn = 0;

  constructor(indices: readonly number[], labels: Labels) {
    this.#indices = indices;
    this.#labels = labels;
    const inputs = countsOf(labelsAt(indices, labels.inputs));
    const outputs = countsOf(labelsAt(indices, labels.outputs));
    this.#byInput = largest(inputs) >= largest(outputs);
    const counts = this.#byInput ? inputs : outputs;
    this.#next = new Int32Array(counts.length);
    this.#examples = Array.from(counts, () => []);
    for (const index of indices) {
      const examples = this.#examples[this.#labelOf(index)]!;
      if (examples.length === 0) this.#turns.push(this.#labelOf(index));
      examples.push(index);
    }
  }

  /** Adds examples to a step, up to `size` in all. Below `least`, every example is tried. */
  fill(members: number[], size: number, least: number): void {
    const used = { inputs: new Set<number>(), outputs: new Set<number>() };
    const note = (index: number): void => {
      used.inputs.add(this.#labels.inputs[index]!);
      used.outputs.add(this.#labels.outputs[index]!);
    };
    const fits = (index: number): boolean =>
      !used.inputs.has(this.#labels.inputs[index]!) && !used.outputs.has(this.#labels.outputs[index]!);
    if (members.length < size) members.forEach(note);
    while (members.length < size) {
      let index = this.#find(fits, 4 * members.length + 64);
      if (index === NONE && members.length < least) index = this.#indices.find(fits) ?? NONE;
      if (index === NONE) return;
      note(index);
      members.push(index);
    }
  }

  #find(fits: (index: number) => boolean, tries: number): number {
    const turns = this.#turns;
    for (let i = 0; i < Math.min(tries, turns.length); i++) {
      const turn = (this.#turn + i) % turns.length;
      const label = turns[turn]!;
      const examples = this.#examples[label]!;
      for (let j = 0; j < Math.min(TRIES, examples.length); j++) {
        const at = (this.#next[label]! + j) % examples.length;
        if (!fits(examples[at]!)) continue;
        this.#next[label] = (at + 1) % examples.length;
        this.#turn = (turn + 1) % turns.length;
        return examples[at]!;
      }
    }
    return NONE;
  }

  #labelOf(index: number): number {
    return (this.#byInput ? this.#labels.inputs : this.#labels.outputs)[index]!;
  }
}
