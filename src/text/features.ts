import { mix } from '../internal/random.js';
import { Characters, DIGIT, GAP, LOWER, SYMBOL, UNSPACED, UPPER } from './characters.js';
import type { TermCounts } from './term-counts.js';

const MIN_GRAM = 3;
const MAX_GRAM = 5;
const MAX_UNSPACED_GRAM = 3;
const SPACE = 0x20;
const FNV_PRIME = 0x01000193;
/** The start of the hashes of each kind of feature. So the word "the" and the 3-gram "the" are different features. */
const WORD_START = 0x2f0b4a27;
const GRAM_START = 0x811c9dc5 | 0;
const UNSPACED_START = 0x5bd1e995;
/** A bit that is set only in the hashes of words. */
const WORD_BIT = 1 << 31;

const characters = new Characters();

/**
 * Counts the features of a text by hash: words, runs of symbols and the 3- to 5-grams of both, each padded with a space
 * on either side (as fastText and scikit-learn's `char_wb` do), and 1- to 3-grams of runs without spaces.
 *
 * @param mask The bits of the hash that tell features apart.
 */
export function countFeatures(text: string, terms: TermCounts, mask = -1): void {
  characters.read(text);
  const { kinds, length } = characters;
  for (let start = 1; start <= length; ) {
    const run = runOf(kinds[start]!);
    let end = start + 1;
    while (end <= length && runOf(kinds[end]!) === run) end++;
    if (run === LOWER) countWord(start, end, terms, mask);
    else if (run === SYMBOL) countPart(start, end, terms, mask, 0);
    else if (run === UNSPACED) countUnspaced(start, end, terms, mask);
    start = end;
  }
  characters.release();
}

/** Whether a hash belongs to a word, and not to symbols or an n-gram. */
export function isWord(hash: number): boolean {
  return (hash & WORD_BIT) !== 0;
}

/** Letters and digits make one run. */
function runOf(kind: number): number {
  return kind === UPPER || kind === DIGIT ? LOWER : kind;
}

/** The parts of a word, without n-grams. A word of several parts is a feature too. */
function countWord(start: number, end: number, terms: TermCounts, mask: number): void {
  const { kinds } = characters;
  let partStart = start;
  for (let i = start + 1; i < end; i++) {
    if (!startsPart(kinds[i - 1]!, kinds[i]!, i + 1 < end ? kinds[i + 1]! : GAP)) continue;
    countPart(partStart, i, terms, mask, WORD_BIT);
    partStart = i;
  }
  countPart(partStart, end, terms, mask, WORD_BIT);
  if (partStart > start) countWhole(start, end, terms, mask, WORD_BIT);
}

/** "addEvent" splits before E, "HTMLElement" before the last of its capitals in a row, "utf8" before 8. */
function startsPart(before: number, kind: number, after: number): boolean {
  if ((before === DIGIT) !== (kind === DIGIT)) return true;
  return kind === UPPER && (before === LOWER || after === LOWER);
}

/** A part of a word or a run of symbols, and its n-grams. */
function countPart(start: number, end: number, terms: TermCounts, mask: number, bit: number): void {
  countWhole(start, end, terms, mask, bit);
  const { points } = characters;
  // The spaces replace its neighbours for a while.
  const [before, after] = [points[start - 1]!, points[end]!];
  points[start - 1] = SPACE;
  points[end] = SPACE;
  for (let from = start - 1; from + MIN_GRAM <= end + 1; from++) {
    const to = Math.min(from + MAX_GRAM, end + 1);
    let hash = absorb(absorb(GRAM_START, points[from]!), points[from + 1]!);
    for (let i = from + MIN_GRAM - 1; i < to; i++) {
      hash = absorb(hash, points[i]!);
      terms.add(mix(hash) & mask & ~WORD_BIT);
    }
  }
  points[start - 1] = before;
  points[end] = after;
}

function countWhole(start: number, end: number, terms: TermCounts, mask: number, bit: number): void {
  const { points } = characters;
  let hash = WORD_START;
  for (let i = start; i < end; i++) hash = absorb(hash, points[i]!);
  terms.add(((mix(hash) & ~WORD_BIT) | bit) & mask);
}

function countUnspaced(start: number, end: number, terms: TermCounts, mask: number): void {
  const { points } = characters;
  for (let from = start; from < end; from++) {
    const to = Math.min(from + MAX_UNSPACED_GRAM, end);
    let hash = UNSPACED_START;
    for (let i = from; i < to; i++) {
      hash = absorb(hash, points[i]!);
      terms.add(mix(hash) & mask & ~WORD_BIT);
    }
  }
}

/** FNV-1a over code points. */
function absorb(hash: number, point: number): number {
  return Math.imul(hash ^ point, FNV_PRIME);
}
