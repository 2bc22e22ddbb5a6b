import { checkAdapter, checkedCopy, checkSameRank } from './internal/adapters.js';
import { rowsOfJson } from './internal/json-rows.js';
import { withDefaults } from './internal/options.js';
import { gaussian, randomFor } from './internal/random.js';
import {
  checkCount,
  checkNumber,
  checkObject,
  checkRows,
  checkSameCount,
  checkSeed,
  checkWidth,
  throwNonFinite,
} from './internal/validate.js';
import { areFinite } from './kernels/finite.js';
import { kernels } from './kernels/index.js';
import { float32Matrix, toNestedArrays } from './kernels/matrix.js';
import { scalarKernels } from './kernels/scalar/index.js';
import { readAdapters, writeAdapters } from './lora-adapter/peft.js';
import type { AdapterConfig } from './lora-adapter/peft-config.js';
import type { Adapter, AdapterGradients, Bytes, ChainStep, Float32Row, Rows, Stateful } from './types.js';

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

/** What a backward returns. */
export interface LoRAGradients extends AdapterGradients {
  gradA: readonly Float32Row[];
  gradB: readonly Float32Row[];
  /** n × dim. */
  gradInputs: Float32Row[];
}

/** What `trace` returns: a forward, and the backward of the same rows. */
export interface LoRATrace {
  /** n rows of `outDim` floats. */
  output: Float32Row[];
  /**
   * Gradients for the rows that were traced, whatever went through the adapter since. It reads the weights as they are
   * now, beside what the forward kept (the rows and rows · A): call it before the optimizer's step, or the gradients are
   * those of neither weights. It may be called again.
   *
   * @param gradRows Gradient of the loss with respect to `output`: n rows of `outDim` numbers.
   * @returns `gradA` (dim × rank), `gradB` (rank × outDim) and `gradInputs` (n × dim).
   * @throws TypeError or RangeError for rows that do not fit `output` or are not finite.
   */
  backward(gradRows: Rows): LoRAGradients;
}

/** An adapter as MicroLoRA saves it: plain arrays and numbers. */
export interface SavedAdapter {
  loraA: number[][];
  loraB: number[][];
  scaling: number;
}

/**
 * A low-rank adapter (Hu et al. 2021, "LoRA") on embeddings: `y = x + scaling · x · A · B`; without the `x +` when
 * `outDim` is not `dim`. A starts Gaussian with standard deviation √(2 / (dim + rank)), B zero, as in MicroLoRA, so
 * that training starts from the identity.
 *
 * @example
 * ```js
 * import { LoRAAdapter } from 'microlora-training-utils';
 *
 * const adapter = new LoRAAdapter({ dim: 3, rank: 2, seed: 1 });
 * const { output, backward } = adapter.trace([[1, 2, 3]]);
 * const { gradA, gradB, gradInputs } = backward([[1, 0, 0]]);
 * console.log(output[0], gradA.length, gradB.length, gradInputs.length); // Float32Array(3) [ 1, 2, 3 ] 3 2 1
 * ```
 */
export class LoRAAdapter implements Adapter, Stateful<SavedAdapter> {
  /** dim × rank; rows are views of one buffer. */
  readonly loraA: readonly Float32Row[];
  /** rank × outDim; rows are views of one buffer. */
  readonly loraB: readonly Float32Row[];
  /** alpha / rank. */
  readonly scaling: number;

  #last: LoRATrace['backward'] | undefined;

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
   * A copy of an adapter: MicroLoRA's, what {@link toJSON} made, or another `LoRAAdapter`. Of a parsed file, rows may be
   * arrays, or objects with keys `"0"`, `"1"` … as `JSON.stringify` writes `Float32Array`s.
   *
   * @throws TypeError or RangeError when a matrix is missing, ragged or not finite, or the two do not fit each other.
   */
  static from(plain: Adapter | SavedAdapter): LoRAAdapter {
    const call = 'LoRAAdapter.from';
    checkObject(call, 'adapter', plain);
    const given = { loraA: rowsOfJson(plain.loraA), loraB: rowsOfJson(plain.loraB), scaling: plain.scaling };
    checkAdapter(call, 'adapter', given);
    const { loraA, loraB } = given;
    const scaling = checkNumber(call, 'adapter.scaling', given.scaling);
    const rank = loraB.length;
    const adapter = create({ dim: loraA.length, outDim: loraB[0]!.length, rank, alpha: 1, seed: 0 });
    (adapter as { scaling: number }).scaling = scaling;
    adapter.#load(call, 'adapter', given);
    return adapter;
  }

  /**
   * Adapters as the bytes of one safetensors file, in float32 and in PEFT's layout:
   * `base_model.model.<name>.lora_A.weight` (rank × dim) and `….lora_B.weight` (outDim × rank). The metadata holds what
   * `adapter_config.json` does (`peft_type`, `r`, `lora_alpha`, `target_modules`, `rank_pattern`, `alpha_pattern`;
   * lists and numbers as JSON), and `scaling_pattern` for scalings that are no quotient by the rank. float32 weights
   * and scalings survive exactly; float64 weights are rounded.
   *
   * @param adapters Adapters by name, from one to 50,000; `number[][]` matrices work too.
   * @throws TypeError or RangeError when a matrix is missing, ragged or not finite in float32, or a name is no text.
   *
   * @example
   * ```js
   * import { LoRAAdapter } from 'microlora-training-utils';
   *
   * const bytes = LoRAAdapter.toSafetensors(new Map([['query', new LoRAAdapter({ dim: 3, rank: 2 })]]));
   * const query = LoRAAdapter.fromSafetensors(bytes).get('query');
   * console.log(query.dim, query.rank, query.alpha); // 3 2 8
   * ```
   */
  static toSafetensors(adapters: ReadonlyMap<string, Adapter>): Bytes {
    return writeAdapters(adapters);
  }

  /**
   * The adapters of a safetensors file, by name: one that {@link LoRAAdapter.toSafetensors} wrote, or one of PEFT's
   * with LoRA on linear layers and nothing else, in F32, F16 or BF16. The bytes may come from anywhere.
   *
   * @param bytes The whole file.
   * @param config What PEFT's `adapter_config.json` holds, as its text or parsed; it takes the place of the file's
   *   metadata. Pass the text where keys of a pattern look like integers: `JSON.parse` puts these first, and the first
   *   key that fits counts. Patterns must be plain names: they are not run as regular expressions.
   * @throws RangeError when the file is not exactly a header of at most 100 MB, 100,000 tensors and 10,000 keys of
   *   metadata, and the matrices it tells of, in its order; when it holds anything but pairs of matrices that fit each
   *   other and the ranks of the configuration, or an entry that is not finite; when a key of a pattern fits no adapter
   *   or the order of those that fit is lost; when file or `config` tell of DoRA or another variant of LoRA; and when
   *   neither metadata nor `config` has `lora_alpha`. TypeError for arguments of another type.
   */
  static fromSafetensors(bytes: Uint8Array, config?: AdapterConfig | string): Map<string, LoRAAdapter> {
    return new Map(Array.from(readAdapters(bytes, config), ([name, plain]) => [name, copyOf(plain)]));
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
   * Adapts rows, and gives the backward that belongs to them. Traces are independent of each other and of
   * {@link forward}: an adapter for both sides of a loss is traced once for each, and the gradients are added.
   *
   * @param rows n rows of `dim` numbers; copied, so that they may change.
   * @returns `output`, n rows of `outDim` floats, and `backward(gradRows)`.
   * @throws TypeError or RangeError for a row of another length or an entry that is not finite.
   */
  trace(rows: Rows): LoRATrace {
    const { outputs, inputs, hidden } = this.#record('trace', rows);
    return {
      output: outputs,
      backward: gradRows => this.#gradients('trace.backward', 'output', inputs, hidden, gradRows),
    };
  }

  /**
   * Adapts rows, and remembers them for {@link backward}, which is that of the last `forward` alone: `forward(a)`,
   * `forward(b)`, `backward(gradient of a)` gives wrong gradients. {@link trace} binds each backward to its rows.
   *
   * @param rows n rows of `dim` numbers.
   * @returns n rows of `outDim` floats.
   * @throws TypeError or RangeError for a row of another length or an entry that is not finite.
   */
  forward(rows: Rows): Float32Row[] {
    const { outputs, inputs, hidden } = this.#record('forward', rows);
    this.#last = gradRows => this.#gradients('backward', 'the last forward', inputs, hidden, gradRows);
    return outputs;
  }

  /**
   * Gradients for the last {@link forward}, with the weights as they are now: call it before the optimizer's step. Where
   * other rows went through `forward` since, the gradients are wrong, silently if there were as many: use {@link trace}.
   *
   * @param gradRows Gradient of the loss with respect to the output: n rows of `outDim` numbers.
   * @returns `gradA` (dim × rank), `gradB` (rank × outDim) and `gradInputs` (n × dim).
   * @throws Error before the first `forward`; TypeError or RangeError for rows that do not fit it or are not finite.
   */
  backward(gradRows: Rows): LoRAGradients {
    if (!this.#last) throw new Error('backward: call forward first');
    return this.#last(gradRows);
  }

  /**
   * The adapter as a step of `GradientCheckpointer.chain`, whose states are rows. It holds no rows between calls, as
   * {@link forward} does; its backward runs the forward's products again, and gives `{ gradA, gradB }` as `gradParams`.
   * Its `bytes` is not set: a chain expects rows as large as those before.
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
        const ofRows = this.#gradients('backward', 'rows', rows, hidden, gradRows);
        const { gradInputs, ...gradParams } = ofRows;
        return { gradInputs, gradParams };
      },
    };
  }

  /** A forward, with what its backward needs. */
  #record(call: string, rows: Rows): { outputs: Float32Row[]; inputs: Rows; hidden: Rows } {
    checkRows(call, 'rows', rows);
    checkWidth(call, 'rows', rows, this.dim);
    const inputs = float32Matrix(rows.length, this.dim);
    rows.forEach((row, i) => {
      inputs[i]!.set(row);
    });
    return { ...this.#run(call, inputs, rows), inputs };
  }

  /** @param rows The caller's, to name in an error. */
  #run(call: string, inputs: Rows, rows = inputs): { outputs: Float32Row[]; hidden: Rows } {
    // Products beyond float32 may still give a result within it.
    for (const backend of [kernels(), scalarKernels]) {
      const result = backend.loraForward(this, inputs);
      if (areFinite(result.outputs)) return result;
    }
    throwNonFinite(call, { rows, loraA: this.loraA, loraB: this.loraB, scaling: [] });
  }

  /** @param forwardName What the rows must be as many as, for a message. */
  #gradients(call: string, forwardName: string, inputs: Rows, hidden: Rows, gradRows: Rows): LoRAGradients {
    checkRows(call, 'gradRows', gradRows);
    checkWidth(call, 'gradRows', gradRows, this.outDim);
    checkSameCount(call, 'gradRows', gradRows.length, forwardName, inputs.length);
    for (const backend of [kernels(), scalarKernels]) {
      const gradients = backend.loraBackward(this, inputs, hidden, gradRows, true);
      if (areFinite(gradients.gradA, gradients.gradB, gradients.gradInputs)) return gradients;
    }
    throwNonFinite(call, { gradRows, loraA: this.loraA, loraB: this.loraB });
  }

  /** The adapter in MicroLoRA's saved form; `JSON.stringify` calls it. */
  toJSON(): SavedAdapter {
    return { loraA: toNestedArrays(this.loraA), loraB: toNestedArrays(this.loraB), scaling: this.scaling };
  }

  /** What {@link loadStateDict} takes, ready for JSON: the same as {@link toJSON}. */
  stateDict(): SavedAdapter {
    return this.toJSON();
  }

  /**
   * Takes over saved weights in place, so that an optimizer goes on with them. Any adapter's of the same shape and
   * scaling are taken: weights do not tell which adapter they were, nor for which embedder. `loadStateDict` of an
   * optimizer tells whether its state belongs to them.
   *
   * @throws TypeError or RangeError, with nothing changed, when the rank, a matrix's shape or the scaling is not the
   *   adapter's, or an entry is not finite.
   */
  loadStateDict(state: SavedAdapter): void {
    const call = 'LoRAAdapter.loadStateDict';
    checkObject(call, 'state', state);
    checkSameRank(call, 'state', state.loraA, state.loraB, this.rank);
    if (checkNumber(call, 'state.scaling', state.scaling) !== this.scaling) {
      throw new RangeError(`${call}: state.scaling is ${state.scaling}, this adapter has ${this.scaling}`);
    }
    this.#load(call, 'state', state);
    this.#last = undefined;
  }

  #load(call: string, label: string, plain: Pick<Adapter, 'loraA' | 'loraB'>): void {
    const loraA = checkedCopy(call, `${label}.loraA`, plain.loraA, this.loraA);
    const loraB = checkedCopy(call, `${label}.loraB`, plain.loraB, this.loraB);
    for (let i = 0; i < this.dim; i++) this.loraA[i]!.set(loraA[i]!);
    for (let i = 0; i < this.rank; i++) this.loraB[i]!.set(loraB[i]!);
  }
}

/** Both here, as a class that names itself in its body gets another name in the bundle. */
const create = (options: LoRAAdapterOptions): LoRAAdapter => new LoRAAdapter(options);
const copyOf = (plain: Adapter): LoRAAdapter => LoRAAdapter.from(plain);
