import type { Adapter } from '../types.js';

/**
 * Anchors per group. The gradients of a group are finished together, and the gradients of groups are summed in order, in
 * float32. So a batch that is cut between groups gives the same bits as the whole. Finishing takes longer with more ranks
 * than `MOST_SMALL_RANKS`, and without adapters, where all rows have gradients. Groups are then larger.
 */
export const GROUP_ROWS = 256;
export const LARGE_GROUP_ROWS = 1024;
export const MOST_SMALL_RANKS = 32;

/** Number of anchors whose gradients are finished together, for the adapters that rows go through. */
export function groupRowsOf(adapters: readonly Adapter[]): number {
  const isSmall = adapters.length > 0 && adapters.every(({ loraB }) => loraB.length <= MOST_SMALL_RANKS);
  return isSmall ? GROUP_ROWS : LARGE_GROUP_ROWS;
}
