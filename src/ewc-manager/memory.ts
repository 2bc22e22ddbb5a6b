import { checkSameShape, describeAdapter } from '../internal/adapters.js';
import { checkFiniteRows, checkWidth, describe } from '../internal/validate.js';
import { bufferOf, editableRows, type Flat, flatten } from '../kernels/matrix.js';
import type { Adapter, AdapterGradients, EmbeddedExample, MutableVector, Rows } from '../types.js';
import type { ExampleAdapterGradients, ExampleGradients } from './fisher.js';
import type { EWCConfig } from './options.js';
import type { Provenance } from './provenance.js';
import type { SidesSeen, Tower } from './through.js';

/**
 * Importance of each parameter of one adapter: mean squared gradients. With several tasks, what the mode makes of theirs.
 */
export interface FisherInfo {
  /** dim × rank. */
  fisherA: MutableVector[];
  /** rank × outDim. */
  fisherB: MutableVector[];
}

/** The parameters that the penalty pulls towards. */
export interface OptimalParams {
  /** dim × rank. */
  loraA: MutableVector[];
  /** rank × outDim. */
  loraB: MutableVector[];
}

/** {@link OptimalParams} of matrices whose rows stay. */
export interface ParameterRows {
  loraA: readonly MutableVector[];
  loraB: readonly MutableVector[];
}

/** What the original's two Maps show of a memory. Callers may edit it. */
export interface Shown {
  fisher: FisherInfo | undefined;
  optimal: OptimalParams | undefined;
}

/** What one penalty keeps of one adapter, and all that is done with it. A memory is never changed, only replaced. */
export interface AdapterMemory {
  readonly penalty: PenaltyName;
  readonly shown: Shown & { optimal: OptimalParams };
  /** The memory with what the caller has put in place of what was shown; undefined where something is missing. */
  withShown(shown: Shown): AdapterMemory | undefined;
  /** The penalty on an adapter. @throws RangeError where its shape, or an edited matrix, does not fit. */
  on(call: string, name: string, adapter: Adapter): AdapterPenalty;
  /**
   * One memory of two shards of the latest task.
   *
   * @param other A memory of the same penalty.
   * @param share The weight of this memory, from 0 to 1. The other's is the rest.
   * @throws RangeError where the two do not belong together.
   */
  merge(call: string, name: string, other: AdapterMemory, share: number, config: EWCConfig): AdapterMemory;
  /** Entries of the exported state beside `optimalParams`, ready for JSON. */
  save(): SavedMemory;
  /**
   * Checks the shown matrices, which the caller may have edited.
   *
   * @param owner A prefix of their labels: `'other.'` for those of another manager.
   * @throws TypeError or RangeError that names the matrix, the row and the value.
   */
  check(call: string, owner: string, name: string): void;
}

/** The value of the penalty on one adapter, its gradient and its step, divided by λ. */
export interface AdapterPenalty {
  /** The remembered matrices by label, for messages. */
  readonly remembered: Readonly<Record<string, Rows>>;
  value(): number;
  /** Adds `scale` times the gradient. */
  addGradient(gradients: AdapterGradients, scale: number): void;
  /** One gradient step of at most this rate on the adapter itself, which never makes the penalty grow. */
  step(rate: number): void;
}

export type PenaltyName = 'diagonal' | 'function';

/** How a penalty comes to its memories. A third penalty is one more module with an object of this kind. */
export interface PenaltyKind {
  /**
   * The memories of the adapters that take part in a task, on top of those before. Changes nothing.
   *
   * @throws TypeError or RangeError where the task's examples, gradients or adapters do not fit.
   */
  remember<E extends EmbeddedExample>(
    call: string,
    task: Task<E>,
    before: (name: string) => AdapterMemory | undefined,
    config: EWCConfig,
  ): Map<string, AdapterMemory>;
  /** The field of the exported state that holds the memories. */
  readonly field: 'fisherInfo' | 'functionInfo';
  /** A memory from its entry in that field. @throws TypeError or RangeError that names the entry. */
  parse(
    call: string,
    label: string,
    saved: Record<string, unknown>,
    optimal: ParameterRows,
    constant: number,
  ): AdapterMemory;
}

/** What `EWCManager.computeFisher` was given. */
export interface Task<E> {
  adapters: ReadonlyMap<string, Adapter>;
  /** The adapters that take part, with what they see. */
  towers: readonly Tower[];
  data: readonly E[];
  /** Draws at most `sampleSize` examples of the data. */
  sample: () => readonly E[];
  /** `'empirical'` and `'exact'` are Fishers of the MSE. */
  gradients: 'empirical' | 'exact' | GradientsOfLoss<E>;
  /** Whether each adapter's Fisher is divided by its largest entry. */
  normalize: boolean;
}

/** Gradients of the caller's own loss, for one adapter or for all at once. */
export type GradientsOfLoss<E> = { ofAdapter: ExampleGradients<E> } | { ofAll: ExampleAdapterGradients<E> };

/** Plain arrays and numbers of one memory, by field of the exported state. */
export interface SavedFields {
  fisherInfo: { fisherA: number[][]; fisherB: number[][] };
  functionInfo: { moment: number[][]; residual: number[][] | null; constant: number; scaling: number };
  constants: number;
}

export type SavedMemory = Partial<SavedFields>;

/** All that a manager has learned. */
export interface Learned {
  memories: ReadonlyMap<string, AdapterMemory>;
  latest: LatestTask;
  /** Whether a Fisher among the memories was divided by its largest entry. */
  isNormalized: boolean;
}

/** What is known of the latest task. */
export interface LatestTask {
  /** What each adapter saw; undefined where it is not known. Shards must have seen the same. */
  sides: SidesSeen | undefined;
  /** For `import` to compare with the examples that it is given. */
  fingerprints: Omit<Provenance, 'weights'>;
  /** Their number weighs shards. */
  examples: number;
}

export const NO_TASK: LatestTask = { sides: undefined, fingerprints: { embeddings: null, texts: null }, examples: 0 };

/** Parameters as the caller may edit them. */
export function shownParams({ loraA, loraB }: ParameterRows): OptimalParams {
  return { loraA: editableRows(loraA), loraB: editableRows(loraB) };
}

/** The remembered parameters, each matrix in one array. @throws RangeError where the adapter has another shape. */
export function optimalOn(
  call: string,
  name: string,
  { loraA, loraB }: Adapter,
  optimal: ParameterRows,
): { loraA: Flat; loraB: Flat } {
  checkRememberedShape(call, `${describeAdapter(name)}.loraA`, loraA, optimal.loraA);
  checkRememberedShape(call, `${describeAdapter(name)}.loraB`, loraB, optimal.loraB);
  const label = `optimalParams.get(${describe(name)})`;
  return {
    loraA: wholeMatrix(call, `${label}.loraA`, optimal.loraA, loraA),
    loraB: wholeMatrix(call, `${label}.loraB`, optimal.loraB, loraB),
  };
}

/** The entries of a shown matrix in one array. It is checked where the caller has replaced rows, or all of it. */
export function wholeMatrix(call: string, label: string, rows: Rows, like: Rows): Flat {
  const buffer = bufferOf(rows);
  if (buffer) return buffer;
  checkSameShape(call, label, rows, like);
  checkFiniteRows(call, label, rows);
  return flatten(rows);
}

/** Checks parameters that the caller may have edited. @throws TypeError or RangeError that names what is wrong. */
export function checkShownParams(call: string, owner: string, name: string, { loraA, loraB }: ParameterRows): void {
  const label = `${owner}optimalParams.get(${describe(name)})`;
  checkFiniteRows(call, `${label}.loraA`, loraA);
  checkFiniteRows(call, `${label}.loraB`, loraB);
  checkWidth(call, `${label}.loraA`, loraA, loraB.length);
  checkWidth(call, `${label}.loraB`, loraB, loraB[0]!.length);
}

function checkRememberedShape(call: string, label: string, rows: Rows, remembered: Rows): void {
  if (rows.length === remembered.length && rows[0]!.length === remembered[0]!.length) return;
  const shapes = `${rows.length} × ${rows[0]!.length}, the remembered one is ${remembered.length} × ${remembered[0]!.length}`;
  throw new RangeError(`${call}: ${label} is ${shapes}`);
}
