import {
  type Adapter,
  type ContrastiveOptions,
  type Ids,
  LossComputer,
  type NegativeMode,
  packWeights,
  type Rows,
  type Through,
} from '../index.js';
import { shapesOf } from '../internal/adapter-shapes.js';
import { checkKnownNames } from '../internal/known-names.js';
import { describe, inWords } from '../internal/validate/messages.js';
import { checkArray, checkFunction, checkMap, checkObject } from '../internal/validate/option-checks.js';

/** The rows of one step, and their ids and weights, as `LossComputer.contrastive` takes them. */
export interface ContrastiveBatch {
  anchors: Rows;
  positives: Rows;
  negatives?: Rows | null;
  ids?: Ids;
  negativeIds?: Ids;
  weights?: ArrayLike<number>;
}

/** The loss of a task. The options are those of `LossComputer.contrastive`. */
export interface ContrastiveTaskOptions {
  /** Adapters of the coordinator's names and shapes. Each job overwrites their weights. */
  adapters: ReadonlyMap<string, Adapter>;
  through: Through;
  temperature?: number;
  symmetric?: boolean;
  negativeMode?: NegativeMode;
  precision?: 'float32' | 'int16';
}

const CONTRASTIVE_NAMES = ['adapters', 'through', 'temperature', 'symmetric', 'negativeMode', 'precision'];

/**
 * Checks the options that tasks of both kinds have.
 *
 * @throws TypeError or RangeError, of the loss too.
 */
export function checkTask(
  call: string,
  options: ContrastiveTaskOptions & { batch: unknown },
  others: readonly string[],
): void {
  checkKnownNames(call, options, [...CONTRASTIVE_NAMES, ...others]);
  const { adapters, through, batch, symmetric = false } = options;
  checkMap(call, 'adapters', adapters);
  if (adapters.size === 0) throw new RangeError(`${call}: adapters is empty`);
  packWeights(adapters);
  checkObject(call, 'through', through);
  checkFunction(call, 'batch', batch);
  const used = Object.values(through);
  for (const name of adapters.keys())
    if (!used.includes(name)) throw new RangeError(`${call}: no rows go through adapter ${describe(name)}`);
  const rowFor = (name: string | undefined, other: string | undefined): number[] => {
    const adapter = adapters.get(name ?? '');
    return new Array(adapter?.loraA.length ?? adapters.get(other ?? '')?.loraB[0]?.length ?? 1).fill(0);
  };
  const anchor = rowFor(options.through.anchors, options.through.positives);
  const answer = rowFor(options.through.positives, options.through.anchors);
  // The loss of a pair of zeros shows whether the loss takes the options.
  const negatives = options.negativeMode === undefined ? null : [answer];
  LossComputer.contrastive([anchor], [answer], negatives, { ...lossOptionsOf(options, NO_ROWS), symmetric });
}

const NO_ROWS: ContrastiveBatch = { anchors: [], positives: [] };

/** Checks that a job is for these adapters. */
export function checkShapes(
  call: string,
  adapters: ReadonlyMap<string, Adapter>,
  payload: Record<string, unknown>,
): void {
  const own = shapesOf(adapters);
  if (payload.adapters === own) return;
  const message = `${call}: the coordinator has the adapters ${payload.adapters}, this worker has ${own}`;
  // A worker does not try again after an error of this name.
  throw Object.assign(new RangeError(message), { name: 'UnrecoverableError' });
}

/** Checks what a function of the caller returned for a step. */
export function checkBatch(call: string, label: string, batch: unknown): asserts batch is ContrastiveBatch {
  checkObject(call, label, batch);
  const { anchors, positives } = batch;
  checkArray(call, `${label}.anchors`, anchors);
  checkArray(call, `${label}.positives`, positives);
  if (positives.length !== anchors.length)
    throw new RangeError(
      `${call}: ${label} has ${inWords(anchors.length, 'anchor')} and ${inWords(positives.length, 'positive')}`,
    );
}

/** The options of the loss for a batch. */
export function lossOptionsOf(
  { adapters, through, temperature, negativeMode, precision }: ContrastiveTaskOptions,
  { ids, negativeIds, weights }: ContrastiveBatch,
): ContrastiveOptions & { gradients: true } {
  return {
    adapters,
    through,
    ...(temperature !== undefined && { temperature }),
    ...(negativeMode !== undefined && { negativeMode }),
    ...(precision !== undefined && { precision }),
    ...(ids !== undefined && { ids }),
    ...(negativeIds !== undefined && { negativeIds }),
    ...(weights !== undefined && { weights }),
    gradients: true,
  };
}

const PRIME = 0x01000193;
/** Hashes of rows, which are in one batch per epoch. Rows must not change. */
const rowHashes = new WeakMap<object, number>();

/** A checksum of a batch and of the options (FNV-1a over 32-bit words), so that workers that differ are noticed. */
export function checksumOf(options: ContrastiveTaskOptions, batch: ContrastiveBatch): number {
  const { temperature, symmetric, negativeMode, precision, through } = options;
  const { anchors, positives, negatives, weights, ids, negativeIds } = batch;
  let hash = hashOfText(JSON.stringify([temperature, symmetric, negativeMode, precision, through]), 0x811c9dc5);
  for (const rows of [anchors, positives, negatives ?? [], weights ? [weights] : []]) {
    for (const row of rows) hash = Math.imul(hash ^ hashOfRow(row), PRIME);
    hash = Math.imul(hash ^ rows.length, PRIME);
  }
  for (const some of [ids, negativeIds])
    for (const id of Array.from((some ?? []) as ArrayLike<string | number>)) hash = hashOfText(`${id}\n`, hash);
  return hash >>> 0;
}

function hashOfRow(row: ArrayLike<number>): number {
  const known = rowHashes.get(row);
  if (known !== undefined) return known;
  const { buffer, byteOffset, length } = row instanceof Float32Array ? row : Float32Array.from(row);
  const words = new Uint32Array(buffer, byteOffset, length);
  let hash = length;
  for (let i = 0; i < length; i++) hash = Math.imul(hash ^ words[i]!, PRIME);
  rowHashes.set(row, hash);
  return hash;
}

function hashOfText(text: string, start: number): number {
  let hash = start;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), PRIME);
  return hash;
}

/** The weights in the bytes that a job comes with. */
export function floatsOf(call: string, name: string, blobs: Readonly<Record<string, Uint8Array>>): Float32Array {
  checkObject(call, 'blobs', blobs);
  const bytes = blobs[name];
  if (!(bytes instanceof Uint8Array)) throw new TypeError(`${call}: blobs.${name} is missing`);
  if (bytes.length % 4 !== 0)
    throw new RangeError(`${call}: blobs.${name} has ${bytes.length} bytes, no multiple of 4`);
  return new Float32Array(bytes.slice().buffer);
}
