import { checkNumber, checkOptions, checkRows, checkSameCount, throwNonFinite } from '../internal/validate.js';
import { kernels } from '../kernels/index.js';
import type { LossResult, Rows } from '../types.js';
import { meanCoefficients } from './reduction.js';

export interface TripletOptions {
  /** By how much the negative should be farther than the positive. Default 0.5. */
  margin?: number;
}

const CALL = 'triplet';

export function triplet(anchors: Rows, positives: Rows, negatives: Rows, options: TripletOptions): LossResult {
  checkOptions(CALL, options);
  const { margin = 0.5 } = options;
  checkRows(CALL, 'anchors', anchors);
  checkRows(CALL, 'positives', positives);
  checkRows(CALL, 'negatives', negatives);
  checkSameCount(CALL, 'positives', positives.length, 'anchors', anchors.length);
  checkSameCount(CALL, 'negatives', negatives.length, 'anchors', anchors.length);
  checkNumber(CALL, 'margin', margin);

  const loss = kernels().triplet(anchors, positives, negatives, margin, meanCoefficients(anchors.length));
  if (!Number.isFinite(loss)) throwNonFinite(CALL, { anchors, positives, negatives });
  return { loss, components: { triplet: loss } };
}
