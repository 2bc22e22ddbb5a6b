import { inWords } from '../internal/validate.js';
import { batchesIn, type EpochCut } from './epoch-cut.js';
import type { EpochData } from './epoch-data.js';
import type { BatchGeneratorConfig } from './options.js';
import { StepCounts } from './step-counts.js';

/** What the epochs of a training are made of. */
export interface EpochSource {
  /** Data and configuration, as text or by identity: the epochs stay the same while these do. */
  key: readonly unknown[];
  data: EpochData;
  /** Cuts an epoch into batches. */
  cut: (epoch: number) => EpochCut;
}

/** Where a batch lies. */
export interface PlaceOfStep {
  epoch: number;
  /** The epoch's examples. */
  cut: EpochCut;
  /** Position of the batch in `cut.indices`. */
  start: number;
}

/** Finds the batches of steps, which may be asked for in any order. It keeps the last epoch. */
export class StepBatches {
  readonly #source: EpochSource;
  readonly #counts = new StepCounts();
  #last: { epoch: number; cut: EpochCut } | undefined;

  constructor(source: EpochSource) {
    this.#source = source;
  }

  get data(): EpochData {
    return this.#source.data;
  }

  /** Whether data and configuration are still what the epochs were made of. */
  isOf(key: readonly unknown[]): boolean {
    return key.every((part, i) => part === this.#source.key[i]);
  }

  /** The place of the batch of a step. @throws RangeError if the first epoch has no batch. */
  find(call: string, step: number, config: BatchGeneratorConfig): PlaceOfStep {
    const lengthOf = (epoch: number): number => this.#lengthOf(this.#cut(epoch), config);
    const { sampleWeights, dropLast } = config;
    const varies = this.#cut(0).starts !== undefined && Boolean(dropLast || sampleWeights);
    const length = lengthOf(0);
    if (length === 0) throw new RangeError(`${call}: data of ${inWords(this.data.examples, 'example')} make no batch`);
    let epoch = varies ? (this.#last?.epoch ?? 0) : Math.floor(step / length);
    const before = (at: number): number => (varies ? this.#counts.before(at, lengthOf) : at * length);
    while (before(epoch) > step) epoch--;
    while (before(epoch + 1) <= step) epoch++;
    const cut = this.#cut(epoch);
    const batch = step - before(epoch);
    return { epoch, cut, start: cut.starts ? cut.starts[batch]! : batch * config.batchSize };
  }

  #lengthOf({ indices, starts }: EpochCut, config: BatchGeneratorConfig): number {
    return starts ? starts.length - 1 : batchesIn(indices.length, config);
  }

  #cut(epoch: number): EpochCut {
    if (this.#last?.epoch !== epoch) this.#last = { epoch, cut: this.#source.cut(epoch) };
    return this.#last.cut;
  }
}
