import { BatchGenerator, type EmbeddedExample, type Vector } from '../../src/index.js';

/** A subclass with a similarity of its own, which finds the least similar. */
export class Farthest extends BatchGenerator<EmbeddedExample> {
  override _cosineSimilarity(a: Vector, b: Vector): number {
    return -super._cosineSimilarity(a, b);
  }
}
