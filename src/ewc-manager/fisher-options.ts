import { checkFunction } from '../internal/validate.js';
import type { Adapter, AdapterGradients, EmbeddedExample, Through } from '../types.js';
import type { ExampleAdapterGradients, ExampleGradients } from './fisher.js';
import type { Task } from './memory.js';
import type { EWCConfig } from './options.js';

/**
 * @typeParam E The examples.
 * @typeParam A The adapters.
 */
export interface FisherOptions<E, A extends Adapter = Adapter> {
  /**
   * Gradients of the training loss for one example and one adapter.
   *
   * @default those of the MSE between adapted input and output
   */
  gradients?: ExampleGradients<E, A>;
  /**
   * Gradients of the training loss for one example and all adapters at once, instead of `gradients`. It is called once
   * per example, so that a loss of two adapters is computed once. `LossComputer.contrastive` returns what fits here under
   * the same name.
   */
  adapterGradients?: ExampleAdapterGradients<E, A>;
  /**
   * Which adapter sees which side of a pair, as in `LossComputer.contrastive`. The adapter of `anchors` is given the
   * inputs, the adapter of `positives` the outputs. If it is one adapter, it is given both, twice as many rows. The target
   * of the empirical Fisher is the other side of the pair. Adapters without a side take no part in the loss, and nothing
   * new is remembered of them.
   *
   * @default all adapters see the inputs
   */
  through?: Through;
}

/** Checks the options of `computeFisher` against each other; whether gradients of the caller's own loss are given. */
export function checkFisherOptions<E, A extends Adapter>(
  call: string,
  options: FisherOptions<E, A>,
  { penalty, fisher }: EWCConfig,
): boolean {
  const given = (['gradients', 'adapterGradients'] as const).filter(name => options[name] !== undefined);
  for (const name of given) checkFunction(call, name, options[name]);
  const [name, other = options.through && 'through'] = given;
  if (name === undefined) return false;
  const isFunction = penalty === 'function';
  if (isFunction || fisher === 'exact')
    throw new RangeError(`${call}: ${name} are not read with ${isFunction ? "penalty 'function'" : "fisher 'exact'"}`);
  if (other) throw new RangeError(`${call}: ${name} and ${other} exclude each other`);
  return true;
}

/**
 * Where the gradients of the Fisher come from: the options, an override of `_computeGradients`, which may read other
 * fields of the examples, or the kernels.
 */
export function gradientsBy<E extends EmbeddedExample>(
  { gradients, adapterGradients }: FisherOptions<E>,
  { fisher }: EWCConfig,
  override: ((example: E, adapter: Adapter) => AdapterGradients) | undefined,
): Task<E>['gradients'] {
  if (adapterGradients) return { ofAll: adapterGradients };
  if (gradients) return { ofAdapter: gradients };
  if (fisher === 'exact') return 'exact';
  return override ? { ofAdapter: (example, adapter) => override(example, adapter) } : 'empirical';
}
