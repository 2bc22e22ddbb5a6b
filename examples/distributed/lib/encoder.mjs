import { createRequire } from 'node:module';
import { sentenceEncoder } from '../../sentence-model/lib/sentence-encoder.mjs';

/** The sentence model, from the packages of this example. */
export const encoder = sentenceEncoder(createRequire(import.meta.url));
