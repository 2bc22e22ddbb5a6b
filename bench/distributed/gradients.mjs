import { writeSync } from 'node:fs';
import { gradientTask } from 'microlora-training-utils/tasks';
import { makeAdapters, makeBatches, through } from './training.mjs';

const [batch, dim] = [Number(process.env.BATCH), Number(process.env.DIM)];
const task = gradientTask({ adapters: makeAdapters(dim), through, batch: makeBatches(batch, dim) });

/** Prints the step and the milliseconds of its part. */
export default async function timedTask(payload, context) {
  const start = performance.now();
  const result = await task(payload, context);
  writeSync(1, `${payload.step} ${performance.now() - start}\n`);
  return result;
}
