import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NgramEmbedder } from '../src/index.js';
import { referenceRow } from './support/reference-embedder.js';

describe('r', () => {
  it('agrees', async () => {
    const texts = fc.array(
      fc.oneof(
        fc.string({ unit: fc.constantFrom(...'aaaBBBcçÇ1 2_-!ßς日本かなギไทย🙂\u0301\u200d\ud800') }),
        fc.string({ unit: 'binary' }),
        fc.string(),
      ),
      { minLength: 1, maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(texts, fc.integer({ min: 1, max: 2000 }), async (texts, dim) => {
        const e = new NgramEmbedder({ dim });
        e.embed(texts).forEach((row, i) => {
          const r = referenceRow(texts[i]!, dim);
          row.forEach((x, j) => {
            if (Math.abs(x - r[j]!) > 1e-6) throw new Error(`${i} ${j} ${x} ${r[j]}`);
          });
        });
        await e.fit(texts);
        e.embed(texts).forEach((row, i) => {
          const r = referenceRow(texts[i]!, dim, texts);
          row.forEach((x, j) => {
            if (Math.abs(x - r[j]!) > 1e-6) throw new Error(`${i} ${j} ${x} ${r[j]}`);
          });
        });
      }),
    );
  });
});
