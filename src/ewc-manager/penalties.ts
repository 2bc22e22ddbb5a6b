import { diagonal } from './diagonal.js';
import { functionPenalty } from './function.js';
import type { PenaltyKind, PenaltyName } from './memory.js';

/** All penalties. A new one is added here and to `PenaltyName`. */
export const PENALTIES: Readonly<Record<PenaltyName, PenaltyKind>> = { diagonal, function: functionPenalty };
