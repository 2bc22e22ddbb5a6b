import { fingerprintOf } from '../internal/fingerprint.js';
import { isVector } from '../internal/validate.js';
import type { EmbeddedExample, Vector } from '../types.js';

/** Most examples that are read. All of them would take as long as a batch, and other data differs everywhere. */
const SAMPLES = 16;

/** A fingerprint of the embeddings of some examples, spread evenly. Undefined without data. */
export function dataFingerprintOf(data: readonly EmbeddedExample[]): string | undefined {
  const count = Math.min(SAMPLES, data.length);
  const rows: Vector[] = [];
  for (let k = 0; k < count; k++) {
    const example: Partial<EmbeddedExample> | null | undefined = data[Math.floor((k * data.length) / count)];
    for (const row of [example?.inputEmb, example?.outputEmb])
      rows.push(isVector(row) && typeof row[0] === 'number' ? row : []);
  }
  return count === 0 ? undefined : fingerprintOf(rows);
}

/** Checks that a state is of this data. States of version 1.1 have no fingerprint, and fit any data. */
export function checkDataFingerprint(call: string, saved: unknown, data: readonly EmbeddedExample[]): void {
  if (saved === undefined || saved === dataFingerprintOf(data)) return;
  throw new RangeError(
    `${call}: state belongs to other embeddings than this data; delete state.fingerprint to continue with other data`,
  );
}
