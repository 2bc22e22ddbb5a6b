import type { Adapter, ContrastiveOptions, Ids, NegativeMode, Rows, Through } from '../index.js';
import { checkKnownNames } from '../internal/known-names.js';
import { describe } from '../internal/validate/messages.js';
import { checkFunction, checkMap, checkObject } from '../internal/validate/option-checks.js';

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

/** Checks the options that tasks of both kinds have. The loss checks the values of its own. */
export function checkTask(
  call: string,
  options: ContrastiveTaskOptions & { batch: unknown },
  others: readonly string[],
): void {
  checkKnownNames(call, options, [...CONTRASTIVE_NAMES, ...others]);
  const { adapters, through, batch } = options;
  checkMap(call, 'adapters', adapters);
  checkObject(call, 'through', through);
  checkFunction(call, 'batch', batch);
  const used = Object.values(through);
  for (const name of adapters.keys())
    if (!used.includes(name)) throw new RangeError(`${call}: no rows go through adapter ${describe(name)}`);
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

/** Entries per row that a checksum reads. All would take a tenth of a step. */
const SAMPLES = 16;
const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/**
 * A checksum of a batch (FNV-1a over 32-bit words), so that workers with other data are noticed: the length of each row,
 * and 16 entries that are spread over it.
 */
export function checksumOf({ anchors, positives, negatives, weights }: ContrastiveBatch): number {
  let hash = 0x811c9dc5;
  for (const row of [...anchors, ...positives, ...(negatives ?? []), weights ?? []]) {
    hash = Math.imul(hash ^ row.length, 0x01000193);
    const stride = Math.max(1, Math.floor(row.length / SAMPLES));
    for (let i = 0; i < row.length; i += stride) {
      float[0] = row[i]!;
      hash = Math.imul(hash ^ bits[0]!, 0x01000193);
    }
  }
  return hash >>> 0;
}

/** The weights in the bytes that a job comes with. */
export function floatsOf(call: string, name: string, bytes: Uint8Array | undefined): Float32Array {
  if (!(bytes instanceof Uint8Array)) throw new TypeError(`${call}: blobs.${name} is missing`);
  if (bytes.length % 4 !== 0)
    throw new RangeError(`${call}: blobs.${name} has ${bytes.length} bytes, no multiple of 4`);
  return new Float32Array(bytes.slice().buffer);
}
