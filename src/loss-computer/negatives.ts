import { checkOneOf, checkRows, checkSameCount, describe, inWords, isVector, wrongType } from '../internal/validate.js';
import type { ContrastiveProblem, OwnNegatives } from '../kernels/kernels.js';
import { areEqual } from '../kernels/vector.js';
import type { Rows } from '../types.js';

/** What given negatives are: see `ContrastiveOptions.negativeMode`. */
export type NegativeMode = 'explicit' | 'own' | 'inBatch+explicit' | 'inBatch+own';

/** One label per row. */
export type Ids = readonly (string | number)[] | ArrayLike<number>;

/** The rows of a contrastive loss by argument. */
export interface ContrastiveRows {
  anchors: Rows;
  positives: Rows;
  negatives: Rows | null;
}

/** Ids as numbers, so that kernels compare integers. No anchor has -1. */
export interface Groups {
  /** One per row of the batch, also where the anchors are a part of it. */
  anchors: Int32Array;
  /** Null if negatives have no ids. */
  negatives: Int32Array | null;
}

/** The part of the problem that the mode decides: the rows that anchors are compared with. */
type Candidates = Pick<ContrastiveProblem, 'candidates' | 'kind' | 'own' | 'groups'>;

const MODES = ['explicit', 'own', 'inBatch+explicit', 'inBatch+own'] as const;

export function checkNegatives(
  call: string,
  mode: NegativeMode,
  anchors: Rows,
  negatives: Rows | null | undefined,
): void {
  // With an empty list of negatives the loss is 0, as in the original. So an empty list is no mistake.
  if (negatives && !(Array.isArray(negatives) && negatives.length === 0)) checkRows(call, 'negatives', negatives);
  checkOneOf(call, 'negativeMode', mode, MODES);
  // Negatives of the batch need no others: a batch without mined ones has `negatives: null`.
  if (!isOwn(mode) || (mode === 'inBatch+own' && (!negatives || negatives.length === 0))) return;
  if (!negatives) throw new RangeError(`${call}: negativeMode '${mode}' needs negatives, got ${describe(negatives)}`);
  if (negatives.length > 0 && negatives.length % anchors.length === 0) return;
  const counts = `negatives has ${inWords(negatives.length, 'row')}, anchors has ${anchors.length}`;
  throw new RangeError(`${call}: ${counts}; negativeMode '${mode}' needs k rows per anchor`);
}

/**
 * Numbers the distinct ids. Null if rows have none.
 *
 * @param rowsName The argument that has one row per id.
 */
export function groupsOf(
  call: string,
  given: ContrastiveRows,
  rowsName: 'anchors' | 'positives',
  ids: Ids | undefined,
  negativeIds: Ids | undefined,
): Groups | null {
  const { negatives } = given;
  const numbers = new Map<string | number, number>();
  const numberOf = (id: string | number): number => {
    const known = numbers.get(id) ?? numbers.size;
    numbers.set(id, known);
    return known;
  };
  const ofAnchors = ids === undefined ? null : numbered(call, 'ids', ids, rowsName, given[rowsName].length, numberOf);
  if (negativeIds === undefined) return ofAnchors && { anchors: ofAnchors, negatives: null };
  if (!ofAnchors) throw new RangeError(`${call}: negativeIds needs ids, got ${describe(ids)}`);
  if (!negatives) throw new RangeError(`${call}: negativeIds needs negatives, got ${describe(negatives)}`);
  const numberAmong = (id: string | number): number => numbers.get(id) ?? -1;
  const ofNegatives = numbered(call, 'negativeIds', negativeIds, 'negatives', negatives.length, numberAmong);
  return { anchors: ofAnchors, negatives: ofNegatives };
}

function numbered(
  call: string,
  name: string,
  ids: Ids,
  rowsName: string,
  count: number,
  numberOf: (id: string | number) => number,
): Int32Array {
  if (!isVector(ids)) throw wrongType(call, name, 'an array of strings or numbers', ids);
  checkSameCount(call, name, ids.length, rowsName, count);
  return Int32Array.from(ids as ArrayLike<string | number>, (id, i) => {
    if (typeof id !== 'string' && typeof id !== 'number')
      throw wrongType(call, `${name}[${i}]`, 'a string or a number', id);
    if (Number.isNaN(id)) throw new RangeError(`${call}: ${name}[${i}] is ${describe(id)}, which equals no id`);
    return numberOf(id);
  });
}

/**
 * The candidates that anchors are compared with.
 *
 * @param rows The rows that are compared.
 * @param given The rows as the caller passed them. They tell which rows are equal.
 * @param offset Index of the first anchor's positive.
 */
export function candidatesOf(
  { positives, negatives }: ContrastiveRows,
  given: ContrastiveRows,
  offset: number,
  mode: NegativeMode,
  groups: Groups | null,
): Candidates {
  const count = given.anchors.length;
  const ofAnchors = groups?.anchors.subarray(offset, offset + count);
  const inBatch = groups && { anchors: ofAnchors!, candidates: groups.anchors };
  if (!negatives || (mode === 'inBatch+own' && negatives.length === 0))
    return { candidates: positives, kind: 'batch', own: null, groups: inBatch };
  if (isOwn(mode)) {
    const own = { rows: negatives, isSkipped: skippedOf(given, offset, groups) };
    if (mode === 'own') return { candidates: [], kind: 'others', own, groups: null };
    return { candidates: positives, kind: 'batch', own, groups: inBatch };
  }
  if (mode === 'explicit') {
    const ofNegatives = groups?.negatives;
    const explicit = ofNegatives ? { anchors: ofAnchors!, candidates: ofNegatives } : null;
    return { candidates: negatives, kind: 'others', own: null, groups: explicit };
  }
  const candidates = [...positives, ...negatives];
  if (!groups) return { candidates, kind: 'batch', own: null, groups };
  const ofAll = new Int32Array(candidates.length).fill(-1);
  ofAll.set(groups.anchors);
  if (groups.negatives) ofAll.set(groups.negatives, positives.length);
  return { candidates, kind: 'batch', own: null, groups: { anchors: ofAnchors!, candidates: ofAll } };
}

/** Marks own negatives that equal their anchor's positive, as mined ones may, or share its id. */
function skippedOf(
  { anchors, positives, negatives }: ContrastiveRows,
  offset: number,
  groups: Groups | null,
): OwnNegatives['isSkipped'] {
  const perAnchor = negatives!.length / anchors.length;
  const isSkipped = new Uint8Array(negatives!.length);
  for (let i = 0, j = 0; i < anchors.length; i++) {
    for (let k = 0; k < perAnchor; k++, j++) {
      const isShared = groups?.negatives ? groups.negatives[j] === groups.anchors[offset + i] : false;
      if (isShared || areEqual(negatives![j]!, positives[offset + i]!)) isSkipped[j] = 1;
    }
  }
  return isSkipped;
}

/** Whether negatives belong to one anchor each. */
export function isOwn(mode: NegativeMode): boolean {
  return mode === 'own' || mode === 'inBatch+own';
}
