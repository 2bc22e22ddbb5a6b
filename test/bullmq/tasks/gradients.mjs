import { gradientTask } from 'microlora-training-utils/tasks';
import { batchOf, makeAdapters, makeGenerator, through } from './training.mjs';

const generator = makeGenerator();
const task = gradientTask({
  adapters: makeAdapters(),
  through,
  symmetric: true,
  batch: step => batchOf(generator, step),
});

/** A step takes at least 100 ms, so that a test can kill a worker at work. */
export default async function gradients(payload, context) {
  await new Promise(resolve => setTimeout(resolve, 100));
  return task(payload, context);
}
