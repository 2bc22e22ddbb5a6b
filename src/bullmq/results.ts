import { readTensors, type TensorFile } from '../index.js';
import type { Blobs } from './blobs.js';
import type { Outcome } from './job-runs.js';

/** The tensors that a job returned. @throws Error if the job failed, or returned no bytes. */
export async function tensorsOf(label: string, blobs: Blobs, outcome: Outcome | undefined): Promise<TensorFile> {
  if (!outcome) throw new Error(`${label}: there is no result`);
  if ('error' in outcome) throw new Error(`${label}: ${outcome.error.message}`, { cause: outcome.error });
  if (!('blob' in outcome.result)) throw new Error(`${label}: the task returned no bytes`);
  const bytes = await blobs.get(outcome.result.blob);
  if (!bytes) throw new Error(`${label}: the bytes of "${outcome.result.blob}" are missing`);
  return readTensors(bytes);
}
