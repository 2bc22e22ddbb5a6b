import { SGD } from 'microlora-training-utils';
import { localTask } from 'microlora-training-utils/tasks';
import { batchOf, makeAdapters, makeGenerator, through } from './training.mjs';

const generators = [1, 2, 3].map(seed => makeGenerator(seed, 200, 50));
const task = localTask({
  adapters: makeAdapters(),
  through,
  batch: (shard, step) => batchOf(generators[shard], step),
  optimizer: adapters => new SGD(adapters, { lr: 0.1 }),
});

/** With a learning rate of 0.5, the last shard is late. */
export default async function local(payload, context) {
  await new Promise(resolve => setTimeout(resolve, payload.lr === 0.5 && payload.shard === 2 ? 60_000 : 50));
  return task(payload, context);
}
