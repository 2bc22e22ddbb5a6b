import type { ChainStep } from '../../types.js';
import { splitGradients } from '../gradients.js';
import type { ChainOptions } from '../options.js';
import type { Frame, Plan } from './plans.js';
import { bytesOf, fingerprint } from './state-contents.js';
import type { ChainGradients, ChainStats } from './types.js';

const CALL = 'GradientCheckpointer.chain';
const CALL_BACKWARD = 'Chain.backward';

/** A frame with its state. */
interface HeldState<State> extends Frame {
  state: State;
  bytes: number;
}

/** The forward and backward pass of one chain, over a stack of held states. */
export class ChainRun<State, Params> {
  readonly #stats: ChainStats = { forwardCalls: 0, recomputations: 0, peakLiveStates: 0, peakBytes: 0 };
  readonly #steps: readonly ChainStep<State, Params>[];
  readonly #plan: Plan;
  readonly #plannedBytes: readonly number[] | undefined;
  readonly #determinism: NonNullable<ChainOptions['determinism']>;
  /** Fingerprints of the first pass, by number of state. */
  readonly #fingerprints: number[] = [];
  /** Fingerprint of the chain's input, always by value: callers may write to it between the passes. */
  #inputFingerprint = 0;
  #held: HeldState<State>[] = [];
  #isSpent = false;

  /** @param plannedBytes Most bytes of the state that each step takes, if the plan relies on them. */
  constructor(
    steps: readonly ChainStep<State, Params>[],
    plan: Plan,
    plannedBytes: readonly number[] | undefined,
    determinism: NonNullable<ChainOptions['determinism']>,
  ) {
    this.#steps = steps;
    this.#plan = plan;
    this.#plannedBytes = plannedBytes;
    this.#determinism = determinism;
  }

  forward(input: State): State {
    this.#inputFingerprint = fingerprint(input, true);
    this.#compare(0, input, 'the input'); // There is nothing to compare with yet. This remembers the fingerprint.
    this.#hold({ index: 0, until: 0, state: input, bytes: bytesOf(CALL, 'input', input) });
    const last = this.#advance(this.#steps.length);
    return this.#forwardStep(this.#steps.length - 1, last).state;
  }

  backward(gradOutput: State): ChainGradients<State, Params | undefined> {
    bytesOf(CALL_BACKWARD, 'gradOutput', gradOutput);
    if (this.#isSpent)
      throw new Error(`${CALL_BACKWARD}: this chain has run backward before, which released its states`);
    this.#isSpent = true;
    const gradParams = new Array<Params | undefined>(this.#steps.length);
    let gradInputs = gradOutput;
    try {
      const isInputChanged = fingerprint(this.#held[0]!.state, true) !== this.#inputFingerprint;
      // With 'value', the comparison of every state finds the change, and tells it from one that a step makes.
      if (isInputChanged && this.#determinism !== 'value')
        throw new Error(`${CALL}: the input of step 0 was changed after the first pass`);
      for (let i = this.#steps.length - 1; i >= 0; i--) {
        while (this.#held.at(-1)!.until > i) this.#held.pop();
        const top = this.#held.at(-1)!;
        this.#compare(top.index, top.state, `the input of step ${top.index} was changed after the first pass`);
        const state = this.#advance(i + 1);
        const name = `backward of step ${i}`;
        const gradients = runStep(name, () => this.#steps[i]!.backward(state, gradInputs));
        const parts = splitGradients(`${CALL}: ${name}`, gradients);
        gradInputs = parts.gradInputs as State;
        gradParams[i] = parts.gradParams as Params | undefined;
      }
    } finally {
      this.#held = [];
    }
    return { gradInputs, gradParams, stats: { ...this.#stats } };
  }

  /** Computes the state that step `end - 1` takes from the top state, and holds states on the way as planned. */
  #advance(end: number): State {
    for (;;) {
      const top = this.#held.at(-1)!;
      if (top.index === end - 1) return top.state;
      const until = this.#plan(this.#held, end);
      const next = this.#forwardStep(top.index, top.state);
      if (until === 0) this.#held.pop();
      this.#hold({ index: top.index + 1, until: until === 0 ? top.until : until, ...next });
    }
  }

  #hold(state: HeldState<State>): void {
    this.#held.push(state);
    const bytes = this.#held.reduce((sum, each) => sum + each.bytes, 0);
    this.#stats.peakLiveStates = Math.max(this.#stats.peakLiveStates, this.#held.length);
    this.#stats.peakBytes = Math.max(this.#stats.peakBytes, bytes);
  }

  #forwardStep(index: number, input: State): { state: State; bytes: number } {
    const name = `forward of step ${index}`;
    this.#stats.forwardCalls++;
    if (this.#isSpent) this.#stats.recomputations++;
    const state = runStep(name, () => this.#steps[index]!.forward(input));
    const bytes = bytesOf(CALL, `the result of ${name}`, state);
    const planned = this.#plannedBytes?.[index + 1] ?? Infinity;
    if (bytes > planned) {
      throw new RangeError(
        `${CALL}: ${name} returned ${bytes} bytes, memoryBudget was planned for ${planned}; give the step's bytes`,
      );
    }
    this.#compare(index + 1, state, `${name} returned another ${this.#determinism} when it was run again`);
    return { state, bytes };
  }

  /** Compares a state with its fingerprint from the first pass. */
  #compare(index: number, state: State, complaint: string): void {
    if (this.#determinism === 'none') return;
    const now = fingerprint(state, this.#determinism === 'value');
    if (now !== (this.#fingerprints[index] ??= now)) throw new Error(`${CALL}: ${complaint}`);
  }
}

function runStep<Result>(name: string, run: () => Result): Result {
  try {
    return run();
  } catch (error) {
    throw new Error(`${CALL}: ${name} threw: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
