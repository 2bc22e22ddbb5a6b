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
import { areFinite, firstFinite } from './kernels/finite.js';
import { float32Matrix, toNestedArrays } from './kernels/matrix.js';
import { readAdapters, writeAdapters } from './lora-adapter/peft.js';
import type { AdapterConfig } from './lora-adapter/peft-config.js';
import type { Adapter, AdapterGradients, Bytes, Float32Row, ParameterStep, Rows, Stateful } from './types.js';

export interface LoRAAdapterOptions {
  /** Length of the input rows, at least 1. */
  dim: number;
  /** Length of the output rows, at least 1. By default, `dim`. */
  outDim?: number;
  /**
   * Inner dimension, at least 1.
   *
   * @default 4
   */
  rank?: number;
  /**
   * Any finite number. The adapter's `scaling` is `alpha / rank`.
   *
   * @default 8
   */
  alpha?: number;
  /** Seed (uint32) of the initial weights. By default, `Math.random` draws them. */
  seed?: number;
}

/** The gradients that the backward of an adapter returns. */
export interface LoRAGradients extends AdapterGradients {
  gradA: readonly Float32Row[];
  gradB: readonly Float32Row[];
  /** n × dim. */
  gradInputs: Float32Row[];
}

/** The result of `trace`: the outputs of some rows, and the backward of the same rows. */
export interface LoRATrace {
  /** n rows of `outDim` floats. */
  output: Float32Row[];
  /**
   * Gradients for the rows that were traced, also if other rows went through the adapter afterwards. Call it before
   * the optimizer's step: it reads the current weights together with what the forward kept (the rows and rows · A). It
   * may be called again.
   *
   * @param gradRows Gradient of the loss with respect to `output`: n rows of `outDim` numbers.
   * @returns `gradA` (dim × rank), `gradB` (rank × outDim) and `gradInputs` (n × dim).
   * @throws TypeError or RangeError for rows that do not fit `output` or are not finite.
   */
  backward(gradRows: Rows): LoRAGradients;
}

/** An adapter as MicroLoRA saves it, in plain arrays and numbers. */
export interface SavedAdapter {
  loraA: number[][];
  loraB: number[][];
  scaling: number;
}

/**
 * A low-rank adapter of embeddings (Hu et al. 2021, "LoRA"): `y = x + scaling · x · A · B`. If `outDim` is not `dim`,
 * there is no `x +`. As in MicroLoRA, A starts Gaussian with standard deviation √(2 / (dim + rank)), and B starts at
 * zero. So training starts from the identity.
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
   * A copy of an adapter: one of MicroLoRA, what {@link toJSON} returned, or another `LoRAAdapter`. The rows may be
   * arrays, or objects with the keys `"0"`, `"1"` …, which `JSON.stringify` makes of `Float32Array`s.
   *
   * @throws TypeError or RangeError where a matrix is missing, ragged or not finite, or the matrices do not fit each
   *   other.
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
   * `base_model.model.<name>.lora_A.weight` (rank × dim) and `….lora_B.weight` (outDim × rank). The metadata holds
   * what `adapter_config.json` holds (`peft_type`, `r`, `lora_alpha`, `target_modules`, `rank_pattern`,
   * `alpha_pattern`; lists and numbers as JSON), and `scaling_pattern` for scalings that no `lora_alpha / rank` gives.
   * float32 weights and scalings survive exactly. float64 weights are rounded.
   *
   * @param adapters Adapters by name, from one to 50,000. Their matrices may be `number[][]`.
   * @throws TypeError or RangeError where a matrix is missing, ragged or not finite in float32, or a name is not a
   *   string.
   *
   * @example
   * ```js
   * import { LoRAAdapter } from 'microlora-training-utils';
   *
   * const bytes = LoRAAdapter.toSafetensors(new Map([['query', new LoRAAdapter({ dim: 3, rank: 2 })]]));
   * for (const [name, { dim, rank, alpha }] of LoRAAdapter.fromSafetensors(bytes)) {
   *   console.log(name, dim, rank, alpha); // query 3 2 8
   * }
   * ```
   */
  static toSafetensors(adapters: ReadonlyMap<string, Adapter>): Bytes {
    return writeAdapters(adapters);
  }

  /**
   * The adapters of a safetensors file, by name. The file is one that {@link LoRAAdapter.toSafetensors} wrote, or one
   * of PEFT that holds only LoRA on linear layers, in F32, F16 or BF16. The bytes may come from anywhere.
   *
   * @param bytes The whole file.
   * @param config The content of PEFT's `adapter_config.json`, as text or parsed. It replaces the file's metadata.
   *   Pass the text where keys of a pattern look like integers: `JSON.parse` puts these first, and the first key that
   *   fits counts. Patterns must be plain names. They are not run as regular expressions.
   * @throws TypeError for arguments of another type.
   * @throws RangeError where the file is not exactly a header, followed by the matrices that the header names, in its
   *   order. The header has at most 100 MB, 100,000 tensors and 10,000 keys of metadata.
   * @throws RangeError where the file holds anything except pairs of matrices that fit each other and the ranks of the
   *   configuration, or an entry that is not finite.
   * @throws RangeError where a key of a pattern fits no adapter, or the order of the keys that fit is lost.
   * @throws RangeError where the file or `config` names DoRA or another variant of LoRA, and where neither the
   *   metadata nor `config` has `lora_alpha`.
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
   * Adapts rows, and returns the backward that belongs to them. Traces are independent of each other and of
   * {@link forward}. If an adapter serves both sides of a loss, trace it once for each side and add the gradients.
   *
   * @param rows n rows of `dim` numbers. They are copied, so they may change afterwards.
   * @returns `output`, n rows of `outDim` floats, and `backward(gradRows)`.
   * @throws TypeError or RangeError for a row of another length or an entry that is not finite.
   */
  trace(rows: Rows): LoRATrace {
    const { outputs, inputs, hidden } = this.#record('LoRAAdapter.trace', rows);
    return {
      output: outputs,
      backward: gradRows => this.#gradients('LoRAAdapter.trace.backward', 'output', inputs, hidden, gradRows),
    };
  }

  /**
   * Adapts rows, and remembers them for {@link backward}, which belongs to the last `forward` only. So `forward(a)`,
   * `forward(b)`, `backward(gradient of a)` gives wrong gradients. {@link trace} binds each backward to its rows.
   *
   * @param rows n rows of `dim` numbers.
   * @returns n rows of `outDim` floats.
   * @throws TypeError or RangeError for a row of another length or an entry that is not finite.
   */
  forward(rows: Rows): Float32Row[] {
    const { outputs, inputs, hidden } = this.#record('LoRAAdapter.forward', rows);
    this.#last = gradRows => this.#gradients('LoRAAdapter.backward', 'the last forward', inputs, hidden, gradRows);
    return outputs;
  }

  /**
   * Gradients for the last {@link forward}, with the current weights. Call it before the optimizer's step. If other
   * rows went through `forward` in between, the gradients are wrong, and there is no error if there were equally many
   * rows. Use {@link trace} then.
   *
   * @param gradRows Gradient of the loss with respect to the output: n rows of `outDim` numbers.
   * @returns `gradA` (dim × rank), `gradB` (rank × outDim) and `gradInputs` (n × dim).
   * @throws Error before the first `forward`. TypeError or RangeError for rows that do not fit it or are not finite.
   */
  backward(gradRows: Rows): LoRAGradients {
    if (!this.#last) throw new Error('LoRAAdapter.backward: call forward first');
    return this.#last(gradRows);
  }

  /**
   * The adapter as a step of `GradientCheckpointer.chain`, whose states are rows. Unlike {@link forward}, the step
   * holds no rows between calls. Its backward runs the products of the forward again, and returns `{ gradA, gradB }`
   * as `gradParams`. Its `bytes` is not set, so a chain expects outputs as large as the inputs.
   */
  asStep(): ParameterStep<Rows, AdapterGradients> {
    const call = 'LoRAAdapter.asStep';
    return {
      forward: rows => {
        checkRows(`${call}.forward`, 'rows', rows);
        checkWidth(`${call}.forward`, 'rows', rows, this.dim);
        return this.#run(`${call}.forward`, rows).outputs;
      },
      backward: (rows, gradRows) => {
        checkRows(`${call}.backward`, 'rows', rows);
        checkWidth(`${call}.backward`, 'rows', rows, this.dim);
        const { hidden } = this.#run(`${call}.backward`, rows);
        const ofRows = this.#gradients(`${call}.backward`, 'rows', rows, hidden, gradRows);
        const { gradInputs, ...gradParams } = ofRows;
        return { gradInputs, gradParams };
      },
    };
  }

  /** Runs a forward, and returns what its backward needs too. */
  #record(call: string, rows: Rows): { outputs: Float32Row[]; inputs: Rows; hidden: Rows } {
    checkRows(call, 'rows', rows);
    checkWidth(call, 'rows', rows, this.dim);
    const inputs = float32Matrix(rows.length, this.dim);
    rows.forEach((row, i) => {
      inputs[i]!.set(row);
    });
    return { ...this.#run(call, inputs, rows), inputs };
  }

  /** @param rows The caller's rows, for messages. */
  #run(call: string, inputs: Rows, rows = inputs): { outputs: Float32Row[]; hidden: Rows } {
    const result = firstFinite(backend => {
      const forward = backend.loraForward(this, inputs);
      return areFinite(forward.outputs) ? forward : undefined;
    });
    if (result) return result;
    throwNonFinite(call, { rows, loraA: this.loraA, loraB: this.loraB, scaling: [] });
  }

  /** @param forwardName What `gradRows` must have equally many rows as, for messages. */
  #gradients(call: string, forwardName: string, inputs: Rows, hidden: Rows, gradRows: Rows): LoRAGradients {
    checkRows(call, 'gradRows', gradRows);
    checkWidth(call, 'gradRows', gradRows, this.outDim);
    checkSameCount(call, 'gradRows', gradRows.length, forwardName, inputs.length);
    const result = firstFinite(backend => {
      const gradients = backend.loraBackward(this, inputs, hidden, gradRows, true);
      return areFinite(gradients.gradA, gradients.gradB, gradients.gradInputs) ? gradients : undefined;
    });
    if (result) return result;
    throwNonFinite(call, { gradRows, loraA: this.loraA, loraB: this.loraB });
  }

  /** The adapter as MicroLoRA saves it. `JSON.stringify` calls this method. */
  toJSON(): SavedAdapter {
    return { loraA: toNestedArrays(this.loraA), loraB: toNestedArrays(this.loraB), scaling: this.scaling };
  }

  /** The state for {@link loadStateDict}, as plain data for JSON. The same as {@link toJSON}. */
  stateDict(): SavedAdapter {
    return this.toJSON();
  }

  /**
   * Writes saved weights into this adapter's matrices, so that an optimizer continues with them. The weights of any
   * adapter with the same shape and scaling are accepted: weights do not tell which adapter or embedder they belong
   * to. `loadStateDict` of an optimizer checks whether its state belongs to the weights.
   *
   * @throws TypeError or RangeError where the rank, the shape of a matrix or the scaling differs from the adapter's,
   *   or an entry is not finite. Nothing has changed then.
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

/** These stand outside of the class: a class that names itself in its body gets another name in the bundle. */
const create = (options: LoRAAdapterOptions): LoRAAdapter => new LoRAAdapter(options);
const copyOf = (plain: Adapter): LoRAAdapter => LoRAAdapter.from(plain);
