import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it, vi } from 'vitest';
import { DataPreprocessor, type Embedder } from '../src/index.js';

const script = new URL('../examples/with-transformers.mjs', import.meta.url);

/** What a feature-extraction pipeline returns for texts with pooling: rows of float32 in one buffer. */
class Tensor {
  readonly type = 'float32';
  constructor(
    readonly dims: [number, number],
    readonly data: Float32Array,
  ) {}
  tolist(): number[][] {
    const [count, width] = this.dims;
    return Array.from({ length: count }, (_, i) => Array.from(this.data.subarray(i * width, (i + 1) * width)));
  }
}

describe('examples/with-transformers.mjs', () => {
  it('makes an embedder from a pipeline: it gets batches and returns one row of length 1 per text', async () => {
    const { embedderFrom } = (await import(script.href)) as { embedderFrom: (extractor: unknown) => Embedder };
    const extractor = vi.fn(async (texts: string[], _: { pooling: string; normalize: boolean }) => {
      const rows = texts.map(text => [Math.cos(text.length), Math.sin(text.length), 0]);
      return new Tensor([texts.length, 3], Float32Array.from(rows.flat()));
    });
    const preprocessor = new DataPreprocessor({ embedder: embedderFrom(extractor), embedBatchSize: 2 });
    const examples = [
      { input: 'a', output: 'bb' },
      { input: 'ccc', output: 'a' },
    ];
    const processed = await preprocessor.process(examples);
    for (const { input, inputEmb, output, outputEmb } of processed) {
      expect(inputEmb).toEqual(Float32Array.of(Math.cos(input.length), Math.sin(input.length), 0));
      expect(outputEmb).toEqual(Float32Array.of(Math.cos(output.length), Math.sin(output.length), 0));
    }
    const options = { pooling: 'mean', normalize: true };
    expect(extractor.mock.calls).toEqual([
      [['a', 'bb'], options],
      [['ccc'], options],
    ]);
    expect(preprocessor.config.embeddingDim).toBe(3);
  });

  it('reports a missing package in one sentence', async () => {
    const failed = promisify(execFile)(process.execPath, [fileURLToPath(script)]);
    await expect(failed).rejects.toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'with-transformers: @huggingface/transformers is missing; npm install @huggingface/transformers\n',
    });
  });
});
