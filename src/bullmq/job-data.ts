import { createHash } from 'node:crypto';
import type { JobsOptions } from 'bullmq';
import { describe, inWords } from '../internal/validate/messages.js';
import { ownRequirements, type Requirements } from './requirements.js';

/** The data of a job. It is small: rows and weights stay out of it. */
export interface JobData {
  /** The argument of the task. */
  payload: unknown;
  /** Keys of the bytes that the task gets, by name. */
  blobs: Record<string, string>;
  requires: Requirements;
  /** Milliseconds after which nobody waits for the job. */
  timeoutMs?: number;
}

/** The result of a job: a small value, or the key of bytes. */
export type JobResult = { value: unknown } | { blob: string; bytes: number };

/** The key of a job's bytes. */
export function resultKey(queue: string, id: string): string {
  return `${queue}/${id}`;
}

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

/** Checks that a value is small, and that JSON keeps it as it is. Returns its text. */
export function checkSmallJson(label: string, value: unknown): string {
  checkPlain(label, value, []);
  const text = JSON.stringify(value);
  const size = Buffer.byteLength(text);
  if (size > MOST_JSON_BYTES)
    throw new RangeError(
      `${label} has ${inWords(size, 'byte')} in JSON, more than ${MOST_JSON_BYTES}; pass a path or a key, and return bytes`,
    );
  return text;
}

/** Refuses what JSON would change: NaN becomes null, and a Map an empty object. A property that is undefined is skipped. */
function checkPlain(label: string, value: unknown, parents: readonly unknown[]): void {
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)) return;
  if (typeof value !== 'object') throw new TypeError(`${label} is ${describe(value)}, which JSON does not keep`);
  if (parents.includes(value)) throw new TypeError(`${label} contains itself, which JSON does not keep`);
  const inside = [...parents, value];
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) checkPlain(`${label}[${i}]`, value[i], inside);
    return;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null)
    throw new TypeError(`${label} is ${describe(value)}, which JSON does not keep`);
  for (const [name, entry] of Object.entries(value))
    if (entry !== undefined) checkPlain(`${label}.${name}`, entry, inside);
}

/**
 * A request whose id depends on its content alone. So the same work has the same job, also after a restart.
 *
 * @param label What the payload is, for messages.
 */
export function requestOf(label: string, name: string, payload: unknown): JobRequest {
  const requires = ownRequirements();
  checkSmallJson(label, payload);
  const text = JSON.stringify(payload, withSortedNames);
  const hash = createHash('sha256')
    .update(JSON.stringify([name, text, requires]))
    .digest('hex');
  return { id: `${name}-${hash.slice(0, 32)}`, name, data: { payload, blobs: {}, requires } };
}

/** The order of an object's properties does not change an id. */
function withSortedNames(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
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
