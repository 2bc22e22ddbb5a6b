import type { Vector } from '../types.js';

/**
 * A short text that tells numbers apart. It is not a secret. It has two 32-bit hashes (MurmurHash3's mixing) of the numbers
 * in float32 and of the lengths of the rows. Rows of float64 have the fingerprint of their float32 copies, and zeros of
 * both signs have the same one. So a fingerprint survives JSON and safetensors.
 */
export function fingerprintOf(rows: Iterable<Vector>): string {
  let a = 0x9747b28c;
  let b = 0x2545f491;
  let count = 0;
  for (const row of rows) {
    a = mixed(a, row.length);
    b = mixed(b, ~row.length);
    for (let j = 0; j < row.length; j++) {
      // Adding 0 removes the sign of a zero.
      FLOAT[0] = row[j]! + 0;
      a = mixed(a, BITS[0]!);
      b = mixed(b, BITS[0]! ^ 0x5bd1e995);
    }
    count++;
  }
  return [mixed(a, count), mixed(b, count)].map(hash => finished(hash).toString(16).padStart(8, '0')).join('');
}

const FLOAT = new Float32Array(1);
const BITS = new Int32Array(FLOAT.buffer);

function mixed(hash: number, value: number): number {
  let k = Math.imul(value, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  const h = hash ^ Math.imul(k, 0x1b873593);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

function finished(hash: number): number {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
