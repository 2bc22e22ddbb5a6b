import { crypto } from '../internal/crypto.js';
import type { EmbeddedExample, Vector } from '../types.js';

/**
 * Small integers for the inputs and outputs of examples: equal ones for equal texts, or for equal rows where there is
 * no text.
 */
export interface Labels {
  inputs: Int32Array;
  outputs: Int32Array;
}

export function labelsOf(examples: readonly (EmbeddedExample & { input?: unknown; output?: unknown })[]): Labels {
  const inputs = new Numbering();
  const outputs = new Numbering();
  return {
    inputs: Int32Array.from(examples, ({ input, inputEmb }) => inputs.numberOf(input, inputEmb)),
    outputs: Int32Array.from(examples, ({ output, outputEmb }) => outputs.numberOf(output, outputEmb)),
  };
}

/** Whether two examples have an equal input or an equal output. */
export function shareLabel({ inputs, outputs }: Labels, one: number, other: number): boolean {
  return inputs[one] === inputs[other] || outputs[one] === outputs[other];
}

/** Numbers what it has not seen before. */
class Numbering {
  readonly #texts = new Map<string, number>();
  readonly #rows = new Map<string, number>();

  numberOf(text: unknown, row: Vector): number {
    return typeof text === 'string' ? this.#numberIn(this.#texts, text) : this.#numberIn(this.#rows, hashOf(row));
  }

  #numberIn(numbers: Map<string, number>, key: string): number {
    const known = numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#texts.size + this.#rows.size;
    numbers.set(key, number);
    return number;
  }
}

/** Stands for the numbers of a row, so that a million rows need no copy. */
function hashOf(row: Vector): string {
  // Adding 0 makes -0 the 0 that it equals.
  return crypto()
    .createHash('sha256')
    .update(Float64Array.from(row, value => value + 0))
    .digest('base64');
}
