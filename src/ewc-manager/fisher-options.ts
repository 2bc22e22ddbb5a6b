import { checkFunction } from '../internal/validate.js';
import type { ExampleAdapterGradients, ExampleGradients } from './fisher.js';
import type { EWCConfig } from './options.js';
import type { Through } from './through.js';

export interface FisherOptions<E> {
  /**
   * Gradients of the training loss for one example and one adapter. Default: those of the MSE between adapted input and
   * output.
   */
  gradients?: ExampleGradients<E>;
  /**
   * Instead of `gradients`, those for one example and all adapters at once: called once per example, so that a loss of
   * two adapters is computed once. What `LossComputer.contrastive` gives by this name fits.
   */
  adapterGradients?: ExampleAdapterGradients<E>;
  /**
   * Which adapter sees which side of a pair, as in `LossComputer.contrastive`: that of `anchors` is given the inputs,
   * that of `positives` the outputs; where it is the same, both, twice as many rows. The empirical Fisher's target is
   * the pair's other side. Adapters without a side take no part in the loss, and nothing new is remembered of them.
   * Default: all adapters see the inputs.
   */
  through?: Through;
}

/** Checks the options of `computeFisher` against each other; whether gradients of the caller's own loss are given. */
export function checkFisherOptions<E>(
  call: string,
  options: FisherOptions<E>,
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
