import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { endOfSpace } from '../../src/data-preprocessor/word-index.js';
import { DataPreprocessor } from '../../src/data-preprocessor.js';

/** The original's tokens, by `split`. */
class Reference {
  vocab = new Map<string, number>();
  vocabSize = 0;

  tokenize(text: string): number[] {
    const tokens: number[] = [];
    for (const word of text.split(/\s+/)) {
      const known = this.vocab.get(word);
      if (known !== undefined) tokens.push(known);
      else if (this.vocabSize < 50_000) {
        this.vocab.set(word, this.vocabSize);
        tokens.push(this.vocabSize++);
      } else for (const character of word) tokens.push(character.charCodeAt(0) % 256);
      tokens.push(32);
    }
    return tokens;
  }
}

const space = fc.constantFrom(' ', '  ', '\n', '\t ', '\u00a0', '\u2003', '\u3000', '\ufeff', '\u2028');
const word = fc.oneof(
  fc.constantFrom('a', 'b', 'ab', 'ba', '', 'é', '漢字', '😀', '\ud83d', 'x'.repeat(64), 'x'.repeat(65)),
  fc.string({ maxLength: 6, unit: 'binary' }),
);
const text = fc.array(fc.tuple(word, space), { maxLength: 6 }).map(pairs => pairs.flat().join(''));

type Act = (ours: DataPreprocessor, reference: Reference) => void;
const act: fc.Arbitrary<Act> = fc.oneof(
  // Embedded texts take another code path than other texts.
  { weight: 6, arbitrary: fc.tuple(text, fc.boolean()).map(([each, isKnown]): Act => agree(each, isKnown)) },
  fc.tuple(word, fc.constantFrom(7, 1.5, -1)).map(([each, token]): Act => both(owner => owner.vocab.set(each, token))),
  word.map((each): Act => both(owner => owner.vocab.delete(each))),
  fc.constantFrom(0, 49_999, 50_000).map((size): Act => both(owner => (owner.vocabSize = size))),
  fc.constant(both(owner => owner.vocab.clear())),
  fc.constant<Act>(ours => (ours.vocab = new Map(ours.vocab))),
);

function agree(each: string, isKnown: boolean): Act {
  return (ours, reference) => {
    if (isKnown) ours._embed(each);
    const tokens = reference.tokenize(each);
    expect(ours._tokenize(each)).toEqual(tokens);
    expect(ours._tokenize(each)).toEqual(reference.tokenize(each));
    expect([...ours.vocab]).toEqual([...reference.vocab]);
    expect(ours.vocabSize).toBe(reference.vocabSize);
  };
}

function both(edit: (owner: { vocab: Map<string, number>; vocabSize: number }) => unknown): Act {
  return (ours, reference) => {
    edit(ours);
    edit(reference);
  };
}

describe('tokens', () => {
  it('are those of split and a Map, also after edits of the vocabulary', () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 20 }), acts => {
        const [ours, reference] = [new DataPreprocessor({ embeddingDim: 8 }), new Reference()];
        for (const each of acts) each(ours, reference);
      }),
      { numRuns: 300 },
    );
  });

  it('are the same where the vocabulary has more words than the word index', () => {
    const [ours, reference] = [new DataPreprocessor({ embeddingDim: 8 }), new Reference()];
    const words = Array.from({ length: 140_000 }, (_, i) => `word${i}`);
    for (const { vocab } of [ours, reference]) for (const [i, each] of words.entries()) vocab.set(each, 3 * i);
    const all = words.join(' ');
    for (const each of [all, words.slice(0, 100).join(' '), all]) {
      expect(ours._tokenize(each).join()).toBe(reference.tokenize(each).join());
    }
  });

  it('are split at the white space of \\s', () => {
    for (let code = 0; code < 0x10000; code++) {
      const character = String.fromCharCode(code);
      if (endOfSpace(character, 0) !== Number(/\s/.test(character))) expect.fail(`code unit ${code}`);
    }
  });
});
