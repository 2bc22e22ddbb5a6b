import { beforeAll, describe, expect, it } from 'vitest';
import {
  AdamW,
  BatchGenerator,
  DataPreprocessor,
  KeepBest,
  LoRAAdapter,
  LossComputer,
  NgramEmbedder,
  Retriever,
  splitPairs,
} from '../../src/index.js';
import { faqPairs } from '../support/made-up-pairs.js';

const THROUGH = { anchors: 'query', positives: 'answer' };

/** Overfits a FAQ whose questions say little about other questions to the same answer. */
async function trainOnFaq(
  epochs: number,
): Promise<{ losses: number[]; metrics: number[]; restored: number; best: number }> {
  const pairs = faqPairs();
  const { train, validation } = splitPairs(pairs, { validation: 0.2, by: 'input', seed: 1 });
  const embedder = await new NgramEmbedder({ dim: 512 }).fit(train.flatMap(({ input, output }) => [input, output]));
  const examples = await new DataPreprocessor({ embedder }).process(train);
  const answers = [...new Set(pairs.map(({ output }) => output))];
  const answerRows = embedder.embed(answers);
  const queries = embedder.embed(validation.map(({ input }) => input));
  const relevant = validation.map(({ output }) => answers.indexOf(output));

  const query = new LoRAAdapter({ dim: embedder.dim, rank: 16, alpha: 32, seed: 1 });
  const answer = new LoRAAdapter({ dim: embedder.dim, rank: 16, alpha: 32, seed: 2 });
  const adapters = new Map([
    ['query', query],
    ['answer', answer],
  ]);
  const measure = (): number =>
    new Retriever(answer.forward(answerRows)).evaluate(query.forward(queries), relevant).accuracyAt[1]!;

  const optimizer = new AdamW(adapters, { lr: 0.01 });
  const batches = new BatchGenerator(examples, { batchSize: 64, seed: 1 });
  const keep = new KeepBest(adapters);
  const losses = new Array<number>(epochs).fill(0);
  const metrics = [measure()];
  keep.step(metrics[0]!);
  for (const { epoch, batch } of batches.epochs(epochs)) {
    const ids = batch.examples.map(({ output }) => output);
    const options = { adapters, through: THROUGH, ids, gradients: true } as const;
    const { loss, adapterGradients } = LossComputer.contrastive(batch.anchors, batch.positives, null, options);
    optimizer.step(adapterGradients);
    losses[epoch]! += (loss * batch.size) / examples.length;
    if (batches.remaining > 0) continue;
    metrics.push(measure());
    keep.step(metrics.at(-1)!);
  }
  keep.restore();
  return { losses, metrics, restored: measure(), best: keep.best! };
}

describe('a FAQ of 300 answers with questions in untrained words', () => {
  let run: Awaited<ReturnType<typeof trainOnFaq>>;
  beforeAll(async () => {
    run = await trainOnFaq(6);
  });

  it('finds fewer answers as the training loss falls', () => {
    const { losses, metrics } = run;
    expect(losses.at(-1)).toBeLessThan(losses[0]! / 4);
    expect(metrics[0]).toBeGreaterThan(0.15);
    expect(metrics.at(-1)).toBeLessThan(metrics[0]! / 3);
  });

  it('does not end below its start on validation pairs, with KeepBest', () => {
    const { metrics, restored, best } = run;
    expect(restored).toBe(best);
    expect(restored).toBe(Math.max(...metrics));
    expect(restored).toBeGreaterThanOrEqual(metrics[0]!);
  });
});
