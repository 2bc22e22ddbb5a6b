// The training that the coordinator and its workers make alike.
import { BatchGenerator, LoRAAdapter } from 'microlora-training-utils';

export const through = { anchors: 'query', positives: 'answer' };

export function makeAdapters(dim) {
  const make = seed => new LoRAAdapter({ dim, rank: 8, seed });
  return new Map([
    ['query', make(1)],
    ['answer', make(2)],
  ]);
}

/** Batches of seeded noise. */
export function makeBatches(batchSize, dim) {
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  const row = () => Float32Array.from({ length: dim }, random);
  const data = Array.from({ length: 2 * batchSize }, () => ({ inputEmb: row(), outputEmb: row() }));
  const generator = new BatchGenerator(data, { batchSize, seed: 1 });
  return step => {
    const { anchors, positives } = generator.at(step).batch;
    return { anchors, positives };
  };
}
