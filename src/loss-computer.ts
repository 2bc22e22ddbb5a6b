import { cosineOf, euclidean } from './kernels/vector.js';
import { combine, type WeightedLoss } from './loss-computer/combine.js';
import { type ContrastiveOptions, contrastive } from './loss-computer/contrastive.js';
import { type CosineEmbeddingOptions, cosineEmbedding } from './loss-computer/cosine-embedding.js';
import { type CrossEntropyOptions, crossEntropy } from './loss-computer/cross-entropy.js';
import { type MseOptions, mse } from './loss-computer/mse.js';
import type { ContrastiveArgument, GradientsWrt } from './loss-computer/through.js';
import { type TripletOptions, triplet } from './loss-computer/triplet.js';
import type { LossResult, LossWithGradients, Rows, Vector, WithPerRow } from './types.js';

/**
 * Loss functions over rows of numbers. All are static, take plain data and return `{ loss, components }`, averaged over
 * the batch, weighted by `weights`, or added up with `reduction: 'sum'`. With `gradients: true` the result also holds
 * `gradients`, `targetGradients` and `negativeGradients` with respect to the first, second and third argument of rows.
 * With `perRow: true` it holds `perRow`, the loss of each row before weights and reduction, in float64.
 * Every one throws a `TypeError` or `RangeError` that names the argument, the row and the value when it is given no
 * rows, row counts that differ, an empty row, or an entry that is not a finite number.
 *
 * Rows of unequal length are compared over the shorter, as in the original module.
 */
export class LossComputer {
  /**
   * InfoNCE: for each anchor the negative log of the softmax share of its positive among its candidates, over cosine
   * similarities divided by `temperature` (van den Oord et al. 2018, "Representation Learning with Contrastive
   * Predictive Coding"). Computed with an exact log-sum-exp; one pair without negatives has loss 0.
   *
   * @param anchors n rows.
   * @param positives n rows; row i belongs to anchor i.
   * @param negatives With rows, those alone are the negatives, for every anchor, unless `negativeMode` says otherwise;
   *   with none at all (`[]`) the loss is 0. Without (`null`), the other positives of the batch are.
   * @returns The mean loss; with `gradients: true` also `gradients` (anchors), `targetGradients` (positives) and, where
   *   negatives are given, `negativeGradients`. The gradient at a zero row is 0. With `adapters` the rows go through
   *   them first, the result has `adapterGradients` by name, and gradients of rows only where `wrt` asks for them. With
   *   `diagnostics: true` the components also hold `accuracy`, the share of anchors whose positive is more similar than
   *   every negative, and the mean `positiveCosine` and `negativeCosine`. With `symmetric`, a row of `perRow` is the
   *   mean of both directions.
   * @throws TypeError or RangeError also for a name in `through` that is no adapter's, and for rows that do not fit
   *   their adapter, or each other behind it.
   *
   * @example
   * ```js
   * import { LossComputer } from 'microlora-training-utils';
   *
   * const anchors = [[1, 0], [0, 1]];
   * const positives = [[0.8, 0.6], [0.6, 0.8]];
   * const { loss, gradients } = LossComputer.contrastive(anchors, positives, null, { temperature: 0.1, gradients: true });
   * console.log(loss.toFixed(4), gradients.length); // 0.1269 2
   * ```
   *
   * @example
   * Adapters for queries and answers, trained in one call:
   * ```js
   * import { AdamW, LoRAAdapter, LossComputer } from 'microlora-training-utils';
   *
   * const [query, answer] = [1, 2].map(seed => new LoRAAdapter({ dim: 2, rank: 1, seed }));
   * const adapters = new Map([['query', query], ['answer', answer]]);
   * const optimizer = new AdamW(adapters, { lr: 0.05 });
   * const losses = [];
   * for (let step = 0; step < 50; step++) {
   *   const { loss, adapterGradients } = LossComputer.contrastive([[1, 0], [0, 1]], [[1, 2], [2, 1]], null, {
   *     adapters,
   *     through: { anchors: 'query', positives: 'answer' },
   *     gradients: true,
   *   });
   *   optimizer.step(adapterGradients);
   *   losses.push(loss.toFixed(2));
   * }
   * console.log(losses.at(-1)); // 0.00
   * ```
   */
  static contrastive<const Wrt extends readonly ContrastiveArgument[] = [], PerRow extends boolean = false>(
    anchors: Rows,
    positives: Rows,
    negatives: Rows | null | undefined,
    options: ContrastiveOptions &
      Required<Pick<ContrastiveOptions, 'adapters' | 'through'>> & { gradients: true; wrt?: Wrt; perRow?: PerRow },
  ): LossWithGradients<'adapterGradients' | 'temperatureGradient' | GradientsWrt<Wrt>> & WithPerRow<PerRow>;
  static contrastive<const Wrt extends readonly ContrastiveArgument[], PerRow extends boolean = false>(
    anchors: Rows,
    positives: Rows,
    negatives: Rows | null | undefined,
    options: ContrastiveOptions & { gradients: true; adapters?: undefined; wrt: Wrt; perRow?: PerRow },
  ): LossWithGradients<'temperatureGradient' | GradientsWrt<Wrt>> & WithPerRow<PerRow>;
  static contrastive<PerRow extends boolean = false>(
    anchors: Rows,
    positives: Rows,
    negatives: Rows,
    options: ContrastiveOptions & { gradients: true; adapters?: undefined; wrt?: undefined; perRow?: PerRow },
  ): LossWithGradients<'gradients' | 'targetGradients' | 'negativeGradients' | 'temperatureGradient'> &
    WithPerRow<PerRow>;
  static contrastive<PerRow extends boolean = false>(
    anchors: Rows,
    positives: Rows,
    negatives: Rows | null | undefined,
    options: ContrastiveOptions & { gradients: true; adapters?: undefined; wrt?: undefined; perRow?: PerRow },
  ): LossWithGradients<'gradients' | 'targetGradients' | 'temperatureGradient'> & WithPerRow<PerRow>;
  static contrastive<PerRow extends boolean = false>(
    anchors: Rows,
    positives: Rows,
    negatives?: Rows | null,
    options?: ContrastiveOptions & { perRow?: PerRow },
  ): LossResult & WithPerRow<PerRow>;
  static contrastive(
    anchors: Rows,
    positives: Rows,
    negatives: Rows | null = null,
    options: ContrastiveOptions = {},
  ): LossResult {
    return contrastive(anchors, positives, negatives, options);
  }

  /**
   * Triplet loss: `max(0, |a - p| - |a - n| + margin)` with Euclidean distances (Schroff et al. 2015, "FaceNet").
   *
   * @param anchors n rows.
   * @param positives n rows.
   * @param negatives n rows.
   * @returns The mean loss; with `diagnostics: true` the components also hold `activeTriplets`, the share with a loss.
   */
  static triplet<PerRow extends boolean = false>(
    anchors: Rows,
    positives: Rows,
    negatives: Rows,
    options: TripletOptions & { gradients: true; perRow?: PerRow },
  ): LossWithGradients<'gradients' | 'targetGradients' | 'negativeGradients'> & WithPerRow<PerRow>;
  static triplet<PerRow extends boolean = false>(
    anchors: Rows,
    positives: Rows,
    negatives: Rows,
    options?: TripletOptions & { perRow?: PerRow },
  ): LossResult & WithPerRow<PerRow>;
  static triplet(anchors: Rows, positives: Rows, negatives: Rows, options: TripletOptions = {}): LossResult {
    return triplet(anchors, positives, negatives, options);
  }

  /**
   * Softmax cross-entropy of logits against class indices.
   *
   * @param predictions n rows of logits, any number of classes each; -Infinity rules a class out.
   * @param targets n class indices, from 0 to the row's length - 1.
   * @returns The mean loss; with `diagnostics: true` the components also hold `accuracy`, the share of rows whose
   *   target has the highest logit. A row of `perRow` is as PyTorch's without reduction: times the weight of its
   *   target's class, 0 for an ignored one. Rows that count nothing are not read, and may hold anything; with `perRow`
   *   only ignored ones are not.
   */
  static crossEntropy<PerRow extends boolean = false>(
    predictions: Rows,
    targets: ArrayLike<number>,
    options: CrossEntropyOptions & { gradients: true; perRow?: PerRow },
  ): LossWithGradients<'gradients'> & WithPerRow<PerRow>;
  static crossEntropy<PerRow extends boolean = false>(
    predictions: Rows,
    targets: ArrayLike<number>,
    options?: CrossEntropyOptions & { perRow?: PerRow },
  ): LossResult & WithPerRow<PerRow>;
  static crossEntropy(predictions: Rows, targets: ArrayLike<number>, options: CrossEntropyOptions = {}): LossResult {
    return crossEntropy(predictions, targets, options);
  }

  /**
   * Mean squared error: the mean over each row's entries, then over the rows.
   *
   * @param predictions n rows.
   * @param targets n rows.
   * @returns The loss; with `gradients: true` also `gradients` (predictions) and `targetGradients` (targets).
   */
  static mse<PerRow extends boolean = false>(
    predictions: Rows,
    targets: Rows,
    options: MseOptions & { gradients: true; perRow?: PerRow },
  ): LossWithGradients & WithPerRow<PerRow>;
  static mse<PerRow extends boolean = false>(
    predictions: Rows,
    targets: Rows,
    options?: MseOptions & { perRow?: PerRow },
  ): LossResult & WithPerRow<PerRow>;
  static mse(predictions: Rows, targets: Rows, options: MseOptions = {}): LossResult {
    return mse(predictions, targets, options);
  }

  /**
   * Cosine embedding loss: `1 - cos` for similar pairs, `max(0, cos - margin)` for the others.
   *
   * @param predictions n rows.
   * @param targets n rows.
   * @param labels n labels, 1 for similar; any other number is dissimilar. `null` means that all are similar.
   * @returns The mean loss; with `diagnostics: true` the components also hold the mean `positiveCosine` of similar and
   *   `negativeCosine` of dissimilar pairs.
   */
  static cosineEmbedding<PerRow extends boolean = false>(
    predictions: Rows,
    targets: Rows,
    labels: ArrayLike<number> | null | undefined,
    options: CosineEmbeddingOptions & { gradients: true; perRow?: PerRow },
  ): LossWithGradients & WithPerRow<PerRow>;
  static cosineEmbedding<PerRow extends boolean = false>(
    predictions: Rows,
    targets: Rows,
    labels?: ArrayLike<number> | null,
    options?: CosineEmbeddingOptions & { perRow?: PerRow },
  ): LossResult & WithPerRow<PerRow>;
  static cosineEmbedding(
    predictions: Rows,
    targets: Rows,
    labels: ArrayLike<number> | null = null,
    options: CosineEmbeddingOptions = {},
  ): LossResult {
    return cosineEmbedding(predictions, targets, labels, options);
  }

  /**
   * Weighted sum of losses, of their components by name and, where all were computed with `gradients: true`, of their
   * gradients: of each argument, and of each adapter, over the losses that have one.
   *
   * @param losses Results of the other losses with their weights. None at all is loss 0.
   */
  static combine(losses: Iterable<WeightedLoss>): LossResult {
    return combine(losses);
  }

  /** Cosine similarity over the shorter of two rows; 0 for a zero row. */
  static _cosineSimilarity(a: Vector, b: Vector): number {
    return cosineOf(a, b);
  }

  /** Euclidean distance over the shorter of two rows. */
  static _euclideanDistance(a: Vector, b: Vector): number {
    return euclidean(a, b);
  }
}
