import type { ChainStep } from './gradient-checkpointer/types.js';
import { checkAdapter } from './internal/adapters.js';
import { withDefaults } from './internal/options.js';
import { gaussian, randomFor } from './internal/random.js';
import {
  checkCount,
  checkFinite,
  checkNumber,
  checkRows,
  checkSameCount,
  checkSeed,
  checkWidth,
  throwNonFinite,
} from './internal/validate.js';
import { kernels } from './kernels/index.js';
import { float32Matrix, toNestedArrays } from './kernels/matrix.js';
import type { Adapter, AdapterGradients, Float32Row, Rows } from './types.js';

export interface LoRAAdapterOptions {
  /** Length of the input rows. */
  dim: number;
  /** Length of the output rows. Default `dim`. */
  outDim?: number;
  /** Inner dimension. Default 4. */
  rank?: number;
  /** `scaling` is alpha / rank. Default 8. */
  alpha?: number;
  /** Seed (uint32) of the initial weights. Default: `Math.random`. */
  seed?: number;
}

/** What `backward` returns. */
export interface LoRAGradients extends AdapterGradients {
  gradA: readonly Float32Row[];
  gradB: readonly Float32Row[];
  /** n × dim. */
  gradInputs: Float32Row[];
}

/** An adapter as MicroLoRA saves it: plain arrays and numbers. */
export interface SavedAdapter {
  loraA: number[][];
  loraB: number[][];
  scaling: number;
}

/**
 * A low-rank adapter (Hu et al. 2021, "LoRA") on embeddings: `y = x + scaling · x · A · B`; without the `x +` when
 * `outDim` is not `dim`. A starts Gaussian with standard deviation √(2 / (dim + rank)), B zero, as in MicroLoRA, so that
 * training starts from the identity.
 *
 * @example
 * ```js
 * import { LoRAAdapter } from 'microlora-training-utils';
 *
 * const adapter = new LoRAAdapter({ dim: 3, rank: 2, seed: 1 });
 * const [output] = adapter.forward([[1, 2, 3]]);
 * const { gradA, gradB, gradInputs } = adapter.backward([[1, 0, 0]]);
 * console.log(output, gradA.length, gradB.length, gradInputs.length); // Float32Array(3) [ 1, 2, 3 ] 3 2 1
 * ```
 */
export class LoRAAdapter implements Adapter {
  /** dim × rank; rows are views of one buffer. */
  readonly loraA: readonly Float32Row[];
  /** rank × outDim; rows are views of one buffer. */
  readonly loraB: readonly Float32Row[];
  /** alpha / rank. */
  readonly scaling: number;

  #last: { inputs: Rows; hidden: Rows } | undefined;

  /**
   * @throws TypeError or RangeError that names the option and the value.
   */
  constructor(options: LoRAAdapterOptions) {
    const call = 'LoRAAdapter';
    const { dim, rank, alpha, ...rest } = withDefaults(call, { rank: 4, alpha: 8 }, options);
    const outDim = rest.outDim ?? dim;
    checkCount(call, 'dim', dim);
    checkCount(call, 'outDim', outDim);
    checkCount(call, 'rank', rank);
    checkNumber(call, 'alpha', alpha);
    const random = randomFor(checkSeed(call, rest.seed));
    this.loraA = float32Matrix(dim, rank);
    this.loraB = float32Matrix(rank, outDim);
    this.scaling = alpha / rank;
    const deviation = Math.sqrt(2 / (dim + rank));
    for (const row of this.loraA) for (let k = 0; k < rank; k++) row[k] = deviation * gaussian(random);
  }

  /**
   * A copy of an adapter: MicroLoRA's, what {@link toJSON} made, or another `LoRAAdapter`.
   *
   * @throws TypeError or RangeError when a matrix is missing, ragged or not finite, or the two do not fit each other.
   */
  static from(plain: Adapter | SavedAdapter): LoRAAdapter {
    const call = 'LoRAAdapter.from';
    checkAdapter(call, 'adapter', plain);
    const { loraA, loraB } = plain;
    const scaling = checkNumber(call, 'adapter.scaling', plain.scaling);
    const rank = loraB.length;
    const adapter = new LoRAAdapter({ dim: loraA.length, outDim: loraB[0]!.length, rank, alpha: 1, seed: 0 });
    (adapter as { scaling: number }).scaling = scaling;
    for (const name of ['loraA', 'loraB'] as const) {
      plain[name].forEach((row, i) => {
        const copy = adapter[name][i]!;
        copy.set(row);
        // The copy, as numbers beyond float32 do not survive it.
        checkFinite(call, `adapter.${name}[${i}]`, copy);
      });
    }
    return adapter;
  }

  /** Length of the input rows. */
  get dim(): number {
    return this.loraA.length;
  }

  /** Length of the output rows. */
  get outDim(): number {
    return this.loraB[0]!.length;
  }

  /** Inner dimension. */
  get rank(): number {
    return this.loraB.length;
  }

  /** `scaling · rank`. */
  get alpha(): number {
    return this.scaling * this.rank;
  }

  /**
   * Adapts rows, and remembers what {@link backward} needs.
   *
   * @param rows n rows of `dim` numbers.
   * @returns n rows of `outDim` floats.
   * @throws TypeError or RangeError for a row of another length or an entry that is not finite.
   */
  forward(rows: Rows): Float32Row[] {
    checkRows('forward', 'rows', rows);
    checkWidth('forward', 'rows', rows, this.dim);
    const inputs = float32Matrix(rows.length, this.dim);
    rows.forEach((row, i) => {
      inputs[i]!.set(row);
    });
    const { outputs, hidden } = this.#run('forward', inputs, rows);
    this.#last = { inputs, hidden };
    return outputs;
  }

  /**
   * Gradients for the last {@link forward}, with the weights as they are now: call it before the optimizer's step.
   *
   * @param gradRows Gradient of the loss with respect to the output: n rows of `outDim` numbers.
   * @returns `gradA` (dim × rank), `gradB` (rank × outDim) and `gradInputs` (n × dim).
   * @throws Error before the first `forward`; TypeError or RangeError for rows that do not fit it or are not finite.
   */
  backward(gradRows: Rows): LoRAGradients {
    if (!this.#last) throw new Error('backward: call forward first');
    return this.#gradients(this.#last, gradRows);
  }

  /**
   * The adapter as a step of `GradientCheckpointer.chain`, whose states are rows. It holds no rows between calls, as
   * {@link forward} does; its backward runs the forward's products again, and gives `{ gradA, gradB }` as `gradParams`. Its
   * `bytes` is not set: a chain expects rows as large as those before.
   */
  asStep(): ChainStep<Rows, AdapterGradients> {
    return {
      forward: rows => {
        checkRows('forward', 'rows', rows);
        checkWidth('forward', 'rows', rows, this.dim);
        return this.#run('forward', rows).outputs;
      },
      backward: (rows, gradRows) => {
        const { hidden } = this.#run('backward', rows);
        const { gradInputs, ...gradParams } = this.#gradients({ inputs: rows, hidden }, gradRows);
        return { gradInput: gradInputs, gradParams };
      },
    };
  }

  /** @param rows The caller's, to name in an error. */
  #run(call: string, inputs: Rows, rows = inputs): { outputs: Float32Row[]; hidden: Rows } {
    const result = kernels().loraForward(this, inputs);
    if (!Number.isFinite(kernels().sumOfSquares(result.outputs))) {
      throwNonFinite(call, { rows, loraA: this.loraA, loraB: this.loraB });
    }
    return result;
  }

  #gradients({ inputs, hidden }: { inputs: Rows; hidden: Rows }, gradRows: Rows): LoRAGradients {
    checkRows('backward', 'gradRows', gradRows);
    checkWidth('backward', 'gradRows', gradRows, this.outDim);
    checkSameCount('backward', 'gradRows', gradRows.length, 'the last forward', inputs.length);
    const gradients = kernels().loraBackward(this, inputs, hidden, gradRows);
    const { gradA, gradB, gradInputs } = gradients;
    const squares = [gradA, gradB, gradInputs].reduce((sum, rows) => sum + kernels().sumOfSquares(rows), 0);
    if (!Number.isFinite(squares)) throwNonFinite('backward', { gradRows, loraA: this.loraA, loraB: this.loraB });
    return gradients;
  }

  /** The adapter in MicroLoRA's saved form; `JSON.stringify` calls it. */
  toJSON(): SavedAdapter {
    return { loraA: toNestedArrays(this.loraA), loraB: toNestedArrays(this.loraB), scaling: this.scaling };
  }
}
