import type { BatchGenerator, LoRAAdapter, Rows } from '../../../src/index.js';

export const DIM: number;
export const BATCH: number;
export const through: { anchors: string; positives: string };
export function makeAdapters(): Map<string, LoRAAdapter>;
export function makeGenerator(seed?: number, count?: number, batchSize?: number): BatchGenerator;
export function batchOf(
  generator: BatchGenerator,
  step: number,
): { anchors: Rows; positives: Rows; ids: number[]; weights: number[] };
