import { mulberry32 } from './golden.js';

/** A pair of texts. */
export interface Pair {
  input: string;
  output: string;
}

/** Different words of two or three syllables. The lists of two seeds have no word in common. */
function makeUpWords(count: number, seed: number): string[] {
  const random = mulberry32(seed);
  const pick = (letters: string): string => letters[Math.floor(random() * letters.length)]!;
  const words = new Set<string>();
  while (words.size < count) {
    const syllables = Array.from({ length: 2 + Math.floor(2 * random()) }, () => pick('bcdfglmnprst') + pick('aeiou'));
    words.add(`${syllables.join('')}${pick(seed % 2 ? 'kvz' : 'hjw')}`);
  }
  return [...words];
}

/**
 * A FAQ of 300 answers with two questions each. A question shares two words with its answer. The other words say
 * nothing about it, so training on them does not help with a new wording.
 */
export function faqPairs(): Pair[] {
  const random = mulberry32(1);
  const words = makeUpWords(400, 1);
  const pick = (count: number, from: readonly string[]): string[] =>
    Array.from({ length: count }, () => from[Math.floor(random() * from.length)]!);
  return Array.from({ length: 300 }, () => pick(8, words)).flatMap(topic =>
    Array.from({ length: 2 }, () => ({
      input: `how do i ${[...pick(2, topic), ...pick(9, words)].join(' ')}?`,
      output: `${topic.join(' ')}.`,
    })),
  );
}

/**
 * Translations of two words, each of 16 × 16. An answer shares nothing with its question, but 60 pairs determine all
 * the others.
 */
export function translationPairs(): Pair[] {
  const [asked, answered] = [makeUpWords(32, 2), makeUpWords(32, 3)];
  return Array.from({ length: 256 }, (_, i) => {
    const [first, second] = [i % 16, 16 + Math.floor(i / 16)];
    return { input: `${asked[first]} the ${asked[second]}`, output: `${answered[first]} --${answered[second]}` };
  });
}
