import type { ParameterRows } from './memory.js';
import type { EWCConfig, EWCOptions } from './options.js';

/** The default of the original, and what two defaults are made of. */
export const DEFAULT_LAMBDA = { diagonal: 2000, functionPerColumn: 2.5, ownGradientsPerParameter: 1 / 128 } as const;
/** The width of the original's embeddings: that of the default until adapters are remembered. */
const DEFAULT_WIDTH = 384;

/** Knows whether `config.lambda` is a default, which the next task may change, or the caller's own. */
export class DefaultLambda {
  /** The default that was set last; undefined where the caller has named a strength. */
  #value: number | undefined;

  /** The configuration; a strength that is written to it counts as the caller's, even if it equals the default. */
  watch(config: EWCConfig, isDefault: boolean): EWCConfig {
    this.#value = isDefault ? config.lambda : undefined;
    return withWatchedLambda(config, () => {
      this.#value = undefined;
    });
  }

  isIn(config: EWCConfig): boolean {
    return config.lambda === this.#value;
  }

  /** Sets the default, unless the caller has named a strength. */
  set(config: EWCConfig, lambda: number): void {
    if (!this.isIn(config)) return;
    config.lambda = lambda;
    this.#value = lambda;
  }
}

/** Makes `lambda` call `onWrite` when it is written. The configuration reads, spreads and prints as before. */
function withWatchedLambda(config: EWCConfig, onWrite: () => void): EWCConfig {
  let { lambda } = config;
  return Object.defineProperties(config, {
    lambda: {
      get: () => lambda,
      set: (value: number) => {
        lambda = value;
        onWrite();
      },
      enumerable: true,
      configurable: true,
    },
    [Symbol.for('nodejs.util.inspect.custom')]: { value: () => ({ ...config }) },
  });
}

/** The default strength before anything is remembered. */
export function initialLambda({ penalty }: Pick<EWCOptions, 'penalty'>): number {
  return penalty === 'function' ? DEFAULT_LAMBDA.functionPerColumn * DEFAULT_WIDTH : DEFAULT_LAMBDA.diagonal;
}

/**
 * The default strength of the function penalty, a mean over `outDim` columns. For rows of unit length it is their sum
 * that changes the loss.
 */
export function functionLambda(remembered: Iterable<ParameterRows>): number {
  const widths = Array.from(remembered, ({ loraB }) => loraB[0]!.length);
  return DEFAULT_LAMBDA.functionPerColumn * (widths.length === 0 ? DEFAULT_WIDTH : Math.max(...widths));
}

/**
 * The default strength of the diagonal penalty with gradients of the caller's own loss. Adam moves every parameter by
 * about the rate, all together for one end. The loss then changes by the square of their sum. The diagonal is a sum of
 * squares, which is smaller by a factor of their number.
 */
export function ownGradientsLambda(remembered: Iterable<ParameterRows>): number {
  const counts = Array.from(remembered, ({ loraA, loraB }) => loraB.length * (loraA.length + loraB[0]!.length));
  return DEFAULT_LAMBDA.ownGradientsPerParameter * counts.reduce((sum, count) => sum + count, 0);
}
