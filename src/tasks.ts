/**
 * Tasks of workers: pure functions of weights, rows and step.
 *
 * @module tasks
 */

export type { ContrastiveBatch, ContrastiveTaskOptions } from './tasks/contrastive-batch.js';
export { type GradientTaskOptions, gradientTask } from './tasks/gradient-task.js';
export { type LocalTaskOptions, localTask, type StepsWithGradients } from './tasks/local-task.js';

/** A function that workers run on jobs. What it throws fails the job. An error of the name `UnrecoverableError` is final. */
export type Task<Payload = unknown, Result = unknown> = (
  payload: Payload,
  context: TaskContext,
) => Result | Promise<Result>;

/** What a task gets beside its argument. */
export interface TaskContext {
  /** Bytes by name. */
  blobs: Readonly<Record<string, Uint8Array>>;
}
