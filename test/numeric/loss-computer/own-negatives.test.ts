import { describe, expect, it } from 'vitest';
import {
  BatchGenerator,
  type BatchGeneratorOptions,
  DataPreprocessor,
  type EmbeddedExample,
  LossComputer,
  type TrainingExample,
} from '../../../src/index.js';
import { expectClose, expectCloseToLargest } from '../../support/close.js';
import { mulberry32 } from '../../support/golden.js';

const random = mulberry32(5);
const row = (): Float32Array => Float32Array.from({ length: 4 }, () => random() - 0.5);
const examplesWith = (count: number): (EmbeddedExample & { negativeEmbs: Float32Array[] })[] =>
  Array.from({ length: 7 }, () => ({
    inputEmb: row(),
    outputEmb: row(),
    negativeEmbs: Array.from({ length: count }, row),
  }));

describe("the examples' own negatives", () => {
  it.each([1, 3])('reach the batch, %i rows per anchor, anchor by anchor, in any order of the epoch', count => {
    const data = examplesWith(count);
    const batches = new BatchGenerator(data, { batchSize: 3, seed: 1 });
    let seen = 0;
    for (const { batch } of batches.epochs(2)) {
      expect(batch.negatives!.length).toBe(count * batch.size);
      batch.examples.forEach((example, i) => {
        for (let k = 0; k < count; k++) expect(batch.negatives![i * count + k]).toBe(example.negativeEmbs[k]);
      });
      seen += batch.size;
    }
    expect(seen).toBe(14);
  });

  it('may be a single row, as contrastive accepts in mode own', () => {
    const data = Array.from({ length: 5 }, () => ({ inputEmb: row(), outputEmb: row(), negativeEmb: row() }));
    const [batch] = new BatchGenerator(data, { shuffle: false });
    expect(batch!.negatives).toEqual(data.map(example => example.negativeEmb));
    const { anchors, positives, negatives } = batch!;
    const options = { negativeMode: 'own', gradients: true } as const;
    const whole = LossComputer.contrastive(anchors, positives, negatives, options);
    const single = anchors.map((anchor, i) =>
      LossComputer.contrastive([anchor], [positives[i]!], [negatives![i]!], options),
    );
    expectClose(
      whole.loss,
      single.reduce((sum, { loss }) => sum + loss / single.length, 0),
      1e-5,
    );
    expectCloseToLargest(
      whole.gradients,
      single.map(({ gradients }) => gradients[0]!.map(value => value / single.length)),
    );
  });

  it('may be rows of plain numbers', () => {
    const data = [
      {
        inputEmb: [1, 2],
        outputEmb: [3, 4],
        negativeEmbs: [
          [5, 6],
          [7, 8],
        ],
      },
    ];
    const [batch] = new BatchGenerator(data);
    expect(batch!.negatives).toEqual([
      [5, 6],
      [7, 8],
    ]);
  });

  it('may be absent, null or an empty list', () => {
    for (const none of [
      {},
      { negativeEmb: null },
      { negativeEmbs: null },
      { negativeEmbs: [] },
      { negativeEmbs: undefined },
    ]) {
      const data = [{ inputEmb: [1, 2], outputEmb: [3, 4], ...none }] as EmbeddedExample[];
      expect([...new BatchGenerator(data)][0]!.negatives).toBeNull();
      expect([...new BatchGenerator(data, { hardNegatives: true })][0]!.negatives).toEqual([[3, 4]]);
    }
  });

  it('stay with their examples across a resume, and where batches hold no duplicates', () => {
    const data = examplesWith(2).map((example, i) => ({ ...example, input: `${i % 5}`, output: `${i}` }));
    const options: BatchGeneratorOptions = { batchSize: 2, seed: 4, noDuplicates: true };
    const batches = new BatchGenerator(data, options);
    batches.next();
    const resumed = new BatchGenerator(data, options);
    resumed.loadStateDict(JSON.parse(JSON.stringify(batches.stateDict())));
    const [rest, expected] = [[...resumed], [...batches]];
    expect(rest).toEqual(expected);
    for (const { examples, negatives } of rest) expect(negatives).toEqual(examples.flatMap(each => each.negativeEmbs));
  });

  const [good] = examplesWith(2);
  const refused = (data: object[], options?: BatchGeneratorOptions) => () =>
    new BatchGenerator(data as EmbeddedExample[], options);
  const { negativeEmbs, ...plain } = good!;

  it.each<[string, new () => Error, () => unknown]>([
    [
      'BatchGenerator: all examples need equally many own negatives, data[1] has 0, data[0] has 2',
      RangeError,
      refused([good!, plain]),
    ],
    [
      'BatchGenerator: all examples need equally many own negatives, data[2] has 1, data[0] has 0',
      RangeError,
      refused([plain, plain, { ...plain, negativeEmb: row() }]),
    ],
    [
      'BatchGenerator: all examples need equally many own negatives, data[1] has 3, data[0] has 2',
      RangeError,
      refused([good!, { ...plain, negativeEmbs: [row(), row(), row()] }]),
    ],
    [
      'BatchGenerator: data[0] has both negativeEmb and negativeEmbs',
      RangeError,
      refused([{ ...good!, negativeEmb: row() }]),
    ],
    [
      'BatchGenerator: data[1].negativeEmbs must be an array, got a Float32Array',
      TypeError,
      refused([good!, { ...plain, negativeEmbs: row() }]),
    ],
    [
      'BatchGenerator: data[0].negativeEmbs[1] must be a Float32Array, Float64Array or number[], got "no"',
      TypeError,
      refused([{ ...plain, negativeEmbs: [row(), 'no'] }]),
    ],
    [
      'BatchGenerator: data[0].negativeEmb[2] must be finite, got NaN',
      RangeError,
      refused([{ ...plain, negativeEmb: [1, 2, Number.NaN, 3] }]),
    ],
    [
      "BatchGenerator: hardNegatives and the examples' own negatives exclude each other",
      RangeError,
      refused([good!], { hardNegatives: true }),
    ],
    [
      "BatchGenerator: negativeMining and the examples' own negatives exclude each other",
      RangeError,
      refused([good!], { negativeMining: { strategy: 'hardest' } }),
    ],
  ])('%s', (message, type, call) => {
    expect(negativeEmbs.length).toBe(2);
    expect(call).toThrow(type);
    expect(call).toThrow(message);
  });
});

describe('negatives of raw examples', () => {
  const raw = Array.from({ length: 5 }, (_, i) => ({
    input: `write question ${i}`,
    output: `answer ${i}`,
    negatives: [`wrong ${i}`, `answer ${(i + 1) % 5}`],
  }));

  it.each([
    ['a built-in embedder', { embedder: 'ngram', embeddingDim: 16 }],
    ['a function', { embedder: (texts: string[]) => texts.map(text => [text.length, text.charCodeAt(0), 1]) }],
  ] as const)('are embedded by %s as outputs are, and reach the batch', async (_, config) => {
    const preprocessor = new DataPreprocessor({ ...config, embedBatchSize: 3 });
    const processed = await preprocessor.process(raw);
    processed.forEach((example, i) => {
      expect(example.negatives).toEqual(raw[i]!.negatives);
      expect(example.negativeEmbs).toEqual(raw[i]!.negatives.map(text => preprocessor._embed(text)));
      expect(example.negativeEmbs![1]).toEqual(processed[(i + 1) % 5]!.outputEmb);
    });
    const [batch] = new BatchGenerator(processed, { batchSize: 5, seed: 1 });
    expect(batch!.negatives).toEqual(batch!.examples.flatMap(example => example.negativeEmbs));
  });

  it('are kept by variations, so all rows have them', async () => {
    const config = { augmentation: true, augmentationFactor: 4, seed: 1 };
    const processed = await new DataPreprocessor({ ...config, embeddingDim: 8 }).process(raw);
    expect(processed.length).toBeGreaterThan(raw.length);
    expect([...new BatchGenerator(processed, { batchSize: 100 })][0]!.negatives!.length).toBe(2 * processed.length);
    const withEmbedder = new DataPreprocessor({ ...config, embedder: texts => texts.map(text => [text.length]) });
    expect((await withEmbedder.process(raw)).every(example => example.negativeEmbs!.length === 2)).toBe(true);
  });

  it('are absent where there are none', async () => {
    const [plain, empty] = await new DataPreprocessor({ embeddingDim: 8 }).process([
      { input: 'a', output: 'b' },
      { input: 'a', output: 'b', negatives: null as never },
    ]);
    for (const example of [plain!, empty!]) expect(Object.keys(example)).not.toContain('negativeEmbs');
  });

  it.each<[string, unknown]>([
    ['process: examples[1].negatives must be an array, got "wrong"', 'wrong'],
    ['process: examples[1].negatives[1] must be a string, got 5', ['wrong', 5]],
  ])('%s', async (message, negatives) => {
    const examples = [raw[0]!, { input: 'a', output: 'b', negatives } as TrainingExample];
    await expect(new DataPreprocessor().process(examples)).rejects.toThrow(message);
  });
});
