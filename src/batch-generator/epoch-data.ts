import type { EmbeddedExample } from '../types.js';
import { checkData } from './check-data.js';
import { type LabelledExamples, labelsOf } from './labels.js';
import { type BatchGeneratorConfig, checkConfig, checkSampleWeights } from './options.js';
import { countOwnNegatives } from './own-negatives.js';

/** What an epoch takes from data and configuration, as they are when it starts. */
export interface EpochData {
  /** Number of examples. */
  examples: number;
  /** Number of own negatives of each example. */
  ownNegatives: number;
  /** What tells duplicates apart, if no batch may hold any. */
  labels: LabelledExamples | undefined;
}

/**
 * Checks data and configuration, and derives what an epoch needs.
 *
 * @param known What an earlier epoch took. Its labels are reused where nothing has changed.
 */
export function epochDataOf<E extends EmbeddedExample>(
  call: string,
  data: readonly E[],
  config: BatchGeneratorConfig<E>,
  known?: EpochData,
): EpochData {
  checkConfig(call, config);
  checkData(call, data);
  const ownNegatives = countOwnNegatives(call, data, config);
  const { sampleWeights, noDuplicates, duplicatesBy = 'exact' } = config;
  if (sampleWeights !== undefined) checkSampleWeights(call, sampleWeights, data.length);
  const labels = noDuplicates ? labelsOf(call, data, duplicatesBy, { known: known?.labels }) : undefined;
  return { examples: data.length, ownNegatives, labels };
}
