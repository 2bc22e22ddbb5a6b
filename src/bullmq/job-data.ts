import { createHash } from 'node:crypto';
import type { JobsOptions } from 'bullmq';
import { inWords } from '../internal/validate/messages.js';
import { ownRequirements, type Requirements } from './requirements.js';

/** The data of a job. It is small: rows and weights stay out of it. */
export interface JobData {
  /** The argument of the task. */
  payload: unknown;
  /** Keys of the bytes that the task gets, by name. */
  blobs: Record<string, string>;
  requires: Requirements;
}

/** The result of a job: a small value, or the key of bytes. */
export type JobResult = { value: unknown } | { blob: string; bytes: number };

/** A job to be added to a queue. */
export interface JobRequest {
  /** Jobs with equal ids are one job. */
  id: string;
  /** Name of the task. */
  name: string;
  data: JobData;
}

/** Most bytes of a job's data and of its result in JSON. */
export const MOST_JSON_BYTES = 64 * 2 ** 10;

/** Checks that a value is small, and that JSON keeps it. Returns its text. */
export function checkSmallJson(label: string, value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw new TypeError(`${label} cannot be written as JSON: ${(error as Error).message}`);
  }
  if (text === undefined) throw new TypeError(`${label} cannot be written as JSON, got ${typeof value}`);
  const size = Buffer.byteLength(text);
  if (size > MOST_JSON_BYTES)
    throw new RangeError(
      `${label} has ${inWords(size, 'byte')} in JSON, more than ${MOST_JSON_BYTES}; pass a path or a key, and return bytes`,
    );
  return text;
}

/**
 * A request whose id depends on its content alone. So the same work has the same job, also after a restart.
 *
 * @param label What the payload is, for messages.
 */
export function requestOf(label: string, name: string, payload: unknown): JobRequest {
  const requires = ownRequirements();
  const text = checkSmallJson(label, payload);
  const hash = createHash('sha256')
    .update(JSON.stringify([name, text, requires]))
    .digest('hex');
  return { id: `${name}-${hash.slice(0, 32)}`, name, data: { payload, blobs: {}, requires } };
}

/** How often a job is tried, and how long its outcome stays in Redis. */
export function jobOptions(id: string, attempts: number, keepSeconds: number): JobsOptions {
  return {
    jobId: id,
    attempts,
    backoff: { type: 'exponential', delay: 500 },
    removeOnComplete: { age: keepSeconds },
    removeOnFail: { age: keepSeconds },
    stackTraceLimit: 1,
  };
}
