import { BatchGenerator, type EmbeddedExample, type Vector } from '../../src/index.js';

/** A subclass with its own similarity, which finds the least similar rows. */
export class Farthest extends BatchGenerator<EmbeddedExample> {
  override _cosineSimilarity(a: Vector, b: Vector): number {
    return -super._cosineSimilarity(a, b);
  }
}
