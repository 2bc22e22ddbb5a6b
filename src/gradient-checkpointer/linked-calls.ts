import { wrongType } from '../internal/validate.js';
import { type CallGradients, splitGradients } from './gradients.js';

/** Input and output of one call. */
export interface Activation {
  /** The call's input. */
  input: unknown;
  /** The call's output. */
  output: unknown;
}

/** A call that can be run again. */
export interface ForwardCall {
  /** The function. */
  // biome-ignore lint/suspicious/noExplicitAny: holds functions of every input type side by side
  fn: (input: any) => unknown;
  /** Its input. */
  input: unknown;
}

/** What `backward` needs to know of a call. */
export interface LinkedCall {
  /** Undefined once the call has run backward. Its input is then released, although the output may live on. */
  call: ForwardCall | undefined;
  /** The call's entry among the checkpoints, if it has one. */
  kept: Activation | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: holds functions of every input type side by side
  backwardFn: ((input: any, gradOutput: any) => unknown) | undefined;
  /** The call that returned this call's input. */
  previous: LinkedCall | undefined;
}

const CALL = 'GradientCheckpointer.backward';

/** The calls that `backward` can run through, by the objects that they returned. */
export class LinkedCalls {
  #byOutput = new WeakMap<object, LinkedCall>();

  /** Adds a call. It can be found only if its output is an object. */
  add(output: unknown, linked: LinkedCall): void {
    if (isObject(output)) this.#byOutput.set(output, linked);
  }

  /** The call that returned a value, unless it has run backward. */
  producerOf(value: unknown): LinkedCall | undefined {
    const linked = isObject(value) ? this.#byOutput.get(value) : undefined;
    return linked?.call ? linked : undefined;
  }

  /**
   * The calls that lead to an output, first call first, checked so that all of them can run backward.
   *
   * @throws RangeError where no call returned the output, or one of the calls has run backward. TypeError where a call
   *   has no `backwardFn`.
   */
  leadingTo(output: unknown): LinkedCall[] {
    const calls: LinkedCall[] = [];
    let linked = isObject(output) ? this.#byOutput.get(output) : undefined;
    for (; linked; linked = linked.previous) calls.push(linked);
    if (calls.length === 0) throw new RangeError(`${CALL}: output does not come from a remembered checkpoint call`);
    calls.reverse().forEach(({ call, backwardFn }, i) => {
      const name = `${CALL}: call ${i} of the ${calls.length} that lead to output`;
      if (!call) throw new RangeError(`${name} has run backward already`);
      if (!backwardFn) throw new TypeError(`${name} has no backwardFn`);
    });
    return calls;
  }

  /** Forgets all calls. */
  clear(): void {
    this.#byOutput = new WeakMap();
  }
}

/** @throws TypeError without a gradient. */
export function checkGradOutput(gradOutput: unknown): void {
  if (gradOutput === undefined || gradOutput === null)
    throw wrongType(CALL, 'gradOutput', 'the gradient of output', gradOutput);
}

/**
 * Runs checked calls backward, last call first.
 *
 * @param copy Makes the copy of an input that a `backwardFn` may write to.
 */
export function runBackward(
  calls: readonly LinkedCall[],
  gradOutput: unknown,
  copy: (input: unknown) => unknown,
): CallGradients<unknown> {
  const gradParams = new Array<unknown>(calls.length);
  let gradInputs = gradOutput;
  for (let i = calls.length - 1; i >= 0; i--) {
    const { call, backwardFn } = calls[i]!;
    const returned = backwardFn!(copy(call!.input), gradInputs);
    const parts = splitGradients(`${CALL}: backwardFn of call ${i}`, returned);
    gradInputs = parts.gradInputs;
    gradParams[i] = parts.gradParams;
  }
  return { gradInputs, gradParams };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
