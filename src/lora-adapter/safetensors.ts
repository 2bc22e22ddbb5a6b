import { checkCount, wrongValue } from '../internal/validate.js';
import { float32Matrix } from '../kernels/matrix.js';
import { encode, entriesOf, labelOf, readHeader, type StoredTensor } from '../tensors/safetensors.js';
import type { Bytes, Float32Row, Rows } from '../types.js';

/** Safetensors files that hold only matrices of floats, each stored as the transpose of the adapter's matrix. */

/** A matrix as the header describes it, checked. */
export interface StoredMatrix extends StoredTensor {
  height: number;
  width: number;
}

interface MatrixHeader {
  metadata: ReadonlyMap<string, string>;
  /** Matrices by key, in the order of their entries. */
  matrices: ReadonlyMap<string, StoredMatrix>;
}

const CALL = 'LoRAAdapter.fromSafetensors';

/** A file with the transpose of every matrix, in float32. */
export function writeTransposed(matrices: ReadonlyMap<string, Rows>, metadata: Record<string, string>): Bytes {
  const tensors = Array.from(matrices, ([key, rows]) => {
    const [height, width] = [rows.length, rows[0]!.length];
    const data = new Float32Array(height * width);
    for (let j = 0, k = 0; j < width; j++) for (let i = 0; i < height; i++) data[k++] = rows[i]![j]!;
    return [key, { shape: [width, height], data }] as const;
  });
  return encode('LoRAAdapter.toSafetensors', new Map(tensors), metadata);
}

/**
 * Reads a header that may come from anywhere. Nothing is allocated for entries.
 *
 * @param checkKey Called with the key of each tensor before the tensor is read. It may throw.
 */
export function readMatrixHeader(bytes: Uint8Array, checkKey: (key: string) => void): MatrixHeader {
  const { metadata, tensors } = readHeader(bytes, {
    call: CALL,
    jsonAdvice: 'LoRAAdapter.from reads a saved adapter, and adapter_config.json is the second argument here',
    dtypes: ['F32', 'F16', 'BF16'],
    checkKey,
    checkShape,
  });
  const matrices = Array.from(tensors, ([key, tensor]) => {
    const [height, width] = tensor.shape as [number, number];
    return [key, { ...tensor, height, width }] as const;
  });
  return { metadata, matrices: new Map(matrices) };
}

/** The transpose of a matrix of the file. */
export function readTransposed(bytes: Uint8Array, key: string, matrix: StoredMatrix): readonly Float32Row[] {
  const { height, width } = matrix;
  const entries = entriesOf(bytes, matrix) as Float32Array;
  const rows = float32Matrix(width, height);
  for (let i = 0, k = 0; i < height; i++) {
    for (let j = 0; j < width; j++, k++) {
      const value = entries[k]!;
      if (!Number.isFinite(value)) throw wrongValue(CALL, `${labelOf(key)}[${i}][${j}]`, 'finite', value);
      rows[j]![i] = value;
    }
  }
  return rows;
}

function checkShape(label: string, shape: readonly number[]): void {
  if (shape.length !== 2) {
    throw new RangeError(
      `${CALL}: ${label} must be that of a matrix, as LoRA on linear layers has, got [${shape.join(', ')}]`,
    );
  }
  checkCount(CALL, `${label}[0]`, shape[0]);
  checkCount(CALL, `${label}[1]`, shape[1]);
}
