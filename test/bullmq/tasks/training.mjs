import { BatchGenerator, LoRAAdapter } from 'microlora-training-utils';

/** The training of the tests, which coordinator and workers make alike. */
export const [DIM, BATCH] = [16, 600];
export const through = { anchors: 'query', positives: 'answer' };

export function makeAdapters() {
  const make = seed => new LoRAAdapter({ dim: DIM, rank: 4, seed });
  return new Map([
    ['query', make(1)],
    ['answer', make(2)],
  ]);
}

/** Pairs whose sides are noisy copies of one row, so that there is something to learn. */
export function makeGenerator(seed = 1, count = 1300, batchSize = BATCH) {
  let state = seed;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  const data = Array.from({ length: count }, (_, i) => {
    const row = Float32Array.from({ length: DIM }, random);
    return { id: i % 400, inputEmb: row.map(x => x + 0.3 * random()), outputEmb: row.map(x => 0.3 * random() - x) };
  });
  return new BatchGenerator(data, { batchSize, seed });
}

export function batchOf(generator, step) {
  const { anchors, positives, examples } = generator.at(step).batch;
  return { anchors, positives, ids: examples.map(({ id }) => id), weights: examples.map(({ id }) => 1 + (id % 3)) };
}
