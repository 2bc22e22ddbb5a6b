import { mix } from '../internal/random.js';
import { Characters, DIGIT, GAP, LOWER, SYMBOL, UNSPACED, UPPER } from './characters.js';
import type { TermCounts } from './term-counts.js';

const MIN_GRAM = 3;
const MAX_GRAM = 5;
const MAX_UNSPACED_GRAM = 3;
const SPACE = 0x20;
const FNV_PRIME = 0x01000193;
/** Where the hashes of each kind of feature start, so that the word "the" and the 3-gram "the" are different ones. */
const GRAM_OFFSET = 0x811c9dc5 | 0;
const WORD_OFFSET = 0x2f0b4a27;
const UNSPACED_OFFSET = 0x5bd1e995;

const characters = new Characters();

/**
 * Counts the features of a text by hash.
 *
 * @param mask Which bits of the hash tell features apart.
 */
export function countFeatures(text: string, terms: TermCounts, mask = -1): void {
  characters.read(text);
  const { kinds, length } = characters;
  for (let start = 1; start <= length; ) {
    const run = runOf(kinds[start]!);
    let end = start + 1;
    while (end <= length && runOf(kinds[end]!) === run) end++;
    if (run === UNSPACED) addUnspaced(start, end, terms, mask);
    else if (run === LOWER) addWord(start, end, terms, mask);
    else if (run === SYMBOL) addPart(start, end, terms, mask);
    start = end;
  }
  characters.release();
}

/** Letters and digits make one run. */
function runOf(kind: number): number {
  return kind === UPPER || kind === DIGIT ? LOWER : kind;
}

/** The parts of a word, and where there are several the word too. */
function addWord(start: number, end: number, terms: TermCounts, mask: number): void {
  const { kinds } = characters;
  let partStart = start;
  for (let i = start + 1; i < end; i++) {
    if (!startsPart(kinds[i - 1]!, kinds[i]!, i + 1 < end ? kinds[i + 1]! : GAP)) continue;
    addPart(partStart, i, terms, mask);
    partStart = i;
  }
  addPart(partStart, end, terms, mask);
  if (partStart > start) addWhole(start, end, terms, mask);
}

/** "addEvent" splits before E, "HTMLElement" before the last of its capitals in a row, "utf8" before 8. */
function startsPart(before: number, kind: number, after: number): boolean {
  if ((before === DIGIT) !== (kind === DIGIT)) return true;
  return kind === UPPER && (before === LOWER || after === LOWER);
}

/** One word and its n-grams with a space on either side. */
function addPart(start: number, end: number, terms: TermCounts, mask: number): void {
  addWhole(start, end, terms, mask);
  const { points } = characters;
  const [before, after] = [points[start - 1]!, points[end]!];
  points[start - 1] = SPACE;
  points[end] = SPACE;
  for (let from = start - 1; from + MIN_GRAM <= end + 1; from++) {
    const to = Math.min(from + MAX_GRAM, end + 1);
    let hash = absorb(absorb(GRAM_OFFSET, points[from]!), points[from + 1]!);
    for (let i = from + MIN_GRAM - 1; i < to; i++) {
      hash = absorb(hash, points[i]!);
      terms.add(mix(hash) & mask);
    }
  }
  points[start - 1] = before;
  points[end] = after;
}

function addWhole(start: number, end: number, terms: TermCounts, mask: number): void {
  const { points } = characters;
  let hash = WORD_OFFSET;
  for (let i = start; i < end; i++) hash = absorb(hash, points[i]!);
  terms.add(mix(hash) & mask);
}

/** The 1- to 3-grams of a run. */
function addUnspaced(start: number, end: number, terms: TermCounts, mask: number): void {
  const { points } = characters;
  for (let from = start; from < end; from++) {
    const to = Math.min(from + MAX_UNSPACED_GRAM, end);
    let hash = UNSPACED_OFFSET;
    for (let i = from; i < to; i++) {
      hash = absorb(hash, points[i]!);
      terms.add(mix(hash) & mask);
    }
  }
}

/** FNV-1a over code points. */
function absorb(hash: number, point: number): number {
  return Math.imul(hash ^ point, FNV_PRIME);
}
