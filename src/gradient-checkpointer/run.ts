import { splitGradients } from './gradients.js';
import type { ChainOptions } from './options.js';
import type { Frame, Plan } from './plans.js';
import { bytesOf, fingerprint } from './state.js';
import type { ChainGradients, ChainStats, ChainStep } from './types.js';

/** A frame with its state. */
interface HeldState<State> extends Frame {
  state: State;
  bytes: number;
}

/** Both passes of one chain over a stack of held states. */
export class ChainRun<State, Params> {
  readonly #stats: ChainStats = { forwardCalls: 0, recomputations: 0, peakLiveStates: 0, peakBytes: 0 };
  readonly #steps: readonly ChainStep<State, Params>[];
  readonly #plan: Plan;
  readonly #plannedBytes: readonly number[] | undefined;
  readonly #determinism: NonNullable<ChainOptions['determinism']>;
  /** By number of state, from the first pass. */
  readonly #fingerprints: number[] = [];
  /** Of the chain's input by value: callers may write to it between the passes, whatever else is compared. */
  #inputFingerprint = 0;
  #held: HeldState<State>[] = [];
  #isSpent = false;

  /** @param plannedBytes Most bytes of the state that each step takes, where the plan relies on them. */
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
    this.#compare(0, input, 'the input'); // Nothing to compare with yet: remembers its fingerprint.
    this.#hold({ index: 0, until: 0, state: input, bytes: bytesOf('chain', 'input', input) });
    const last = this.#advance(this.#steps.length);
    return this.#forwardStep(this.#steps.length - 1, last).state;
  }

  backward(gradOutput: State): ChainGradients<State, Params> {
    bytesOf('backward', 'gradOutput', gradOutput);
    if (this.#isSpent) throw new Error('backward: this chain has gone back before, which released its states');
    this.#isSpent = true;
    const gradParams = new Array<Params | undefined>(this.#steps.length);
    let gradInputs = gradOutput;
    try {
      const isInputChanged = fingerprint(this.#held[0]!.state, true) !== this.#inputFingerprint;
      // By value the comparison of every state finds it, and tells it from a step's own doing.
      if (isInputChanged && this.#determinism !== 'value')
        throw new Error('chain: the input of step 0 was changed after the first pass');
      for (let i = this.#steps.length - 1; i >= 0; i--) {
        while (this.#held.at(-1)!.until > i) this.#held.pop();
        const top = this.#held.at(-1)!;
        this.#compare(top.index, top.state, `the input of step ${top.index} was changed after the first pass`);
        const state = this.#advance(i + 1);
        const name = `backward of step ${i}`;
        const gradients = runStep(name, () => this.#steps[i]!.backward(state, gradInputs));
        const parts = splitGradients(`chain: ${name}`, gradients);
        gradInputs = parts.gradInputs as State;
        gradParams[i] = parts.gradParams as Params | undefined;
      }
    } finally {
      this.#held = [];
    }
    return { gradInputs, gradParams, stats: { ...this.#stats } };
  }

  /** Computes the state that step `end - 1` takes from the top one, holding others on the way as planned. */
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
    const bytes = bytesOf('chain', `the result of ${name}`, state);
    const planned = this.#plannedBytes?.[index + 1] ?? Infinity;
    if (bytes > planned) {
      throw new RangeError(
        `chain: ${name} returned ${bytes} bytes, memoryBudget was planned for ${planned}; give the step's bytes`,
      );
    }
    this.#compare(index + 1, state, `${name} returned another ${this.#determinism} when it was run again`);
    return { state, bytes };
  }

  /** Compares a state with what it was when it was met first. */
  #compare(index: number, state: State, complaint: string): void {
    if (this.#determinism === 'none') return;
    const now = fingerprint(state, this.#determinism === 'value');
    if (now !== (this.#fingerprints[index] ??= now)) throw new Error(`chain: ${complaint}`);
  }
}

function runStep<Result>(name: string, run: () => Result): Result {
  try {
    return run();
  } catch (error) {
    throw new Error(`chain: ${name} threw: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
