import { cosineOf, euclidean } from './kernels/vector.js';
import { combine, type WeightedLoss } from './loss-computer/combine.js';
import { type ContrastiveComponents, type ContrastiveOptions, contrastive } from './loss-computer/contrastive.js';
import {
  type CosineEmbeddingComponents,
  type CosineEmbeddingOptions,
  cosineEmbedding,
} from './loss-computer/cosine-embedding.js';
import { type CrossEntropyComponents, type CrossEntropyOptions, crossEntropy } from './loss-computer/cross-entropy.js';
import { type MseComponents, type MseOptions, mse } from './loss-computer/mse.js';
import type { ContrastiveArgument, GradientsWrt } from './loss-computer/through.js';
import { type TripletComponents, type TripletOptions, triplet } from './loss-computer/triplet.js';
import type {
  GroupResult,
  LossResult,
  LossWithGradients,
  Rows,
  Vector,
  WithDiagnostics,
  WithPerGroup,
  WithPerRow,
} from './types.js';

/**
 * Loss functions over rows of numbers. All are static, take plain data and return `{ loss, components }`. The loss is
 * averaged over the batch, weighted by `weights`, or added up with `reduction: 'sum'`. With `gradients: true` the result
 * also has `gradients`, `targetGradients` and `negativeGradients` with respect to the first, second and third argument of
 * rows. With `perRow: true` it has `perRow`: the loss of each row before weights and reduction, in float64.
 *
 * Rows of unequal length are compared over the shorter, as in the original module.
 *
 * Each function throws a `TypeError` or `RangeError` that names the argument, the row and the value if it is given no rows,
 * different numbers of rows, an empty row, or an entry that is not a finite number.
 */
export class LossComputer {
  /**
   * InfoNCE (van den Oord et al. 2018, "Representation learning with contrastive predictive coding"): for each anchor the
   * negative log of its positive's share in the softmax over its candidates. Logits are cosine similarities divided by
   * `temperature`, and the log-sum-exp is exact. One pair without negatives has loss 0.
   *
   * @param anchors n rows.
   * @param positives n rows. Row i belongs to anchor i.
   * @param negatives Rows that are the only negatives, for every anchor, unless `negativeMode` says otherwise. With `[]`
   *   the loss is 0. With `null`, the negatives of an anchor are the other positives of the batch.
   * @returns The mean loss. The gradient at a zero row is 0. Further results depend on the options:
   *   - `gradients: true`: `gradients` of the anchors, `targetGradients` of the positives, and `negativeGradients` of
   *     negatives that are given.
   *   - `adapters`: rows go through them first. The result has `adapterGradients` by name, and gradients of rows only if
   *     `wrt` asks for them.
   *   - `diagnostics: true`: further `components`, see {@link ContrastiveComponents}.
   *   - `symmetric`: a row of `perRow` is the mean of both directions.
   * @throws TypeError or RangeError also for a name in `through` that is no adapter's, and for rows that do not fit
   *   their adapter, or outputs that do not fit each other.
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
  static contrastive<
    const Wrt extends readonly ContrastiveArgument[] = [],
    PerRow extends boolean = false,
    Diagnostics extends boolean = false,
    PerGroup extends boolean = false,
  >(
    anchors: Rows,
    positives: Rows,
    negatives: Rows | null | undefined,
    options: ContrastiveOptions &
      Required<Pick<ContrastiveOptions, 'adapters' | 'through'>> & {
        gradients: true;
        wrt?: Wrt;
        perRow?: PerRow;
        perGroup?: PerGroup;
        diagnostics?: Diagnostics;
      },
  ): LossWithGradients<'adapterGradients' | 'temperatureGradient' | GradientsWrt<Wrt>, ContrastiveComponents> &
    WithPerRow<PerRow> &
    WithDiagnostics<Diagnostics, ContrastiveComponents> &
    WithPerGroup<PerGroup, Required<GroupResult>>;
  static contrastive<
    const Wrt extends readonly ContrastiveArgument[],
    PerRow extends boolean = false,
    Diagnostics extends boolean = false,
    PerGroup extends boolean = false,
  >(
    anchors: Rows,
    positives: Rows,
    negatives: Rows | null | undefined,
    options: ContrastiveOptions & {
      gradients: true;
      adapters?: undefined;
      wrt: Wrt;
      perRow?: PerRow;
      perGroup?: PerGroup;
      diagnostics?: Diagnostics;
    },
  ): LossWithGradients<'temperatureGradient' | GradientsWrt<Wrt>, ContrastiveComponents> &
    WithPerRow<PerRow> &
    WithDiagnostics<Diagnostics, ContrastiveComponents> &
    WithPerGroup<PerGroup>;
  static contrastive<
    PerRow extends boolean = false,
    Diagnostics extends boolean = false,
    PerGroup extends boolean = false,
  >(
    anchors: Rows,
    positives: Rows,
    negatives: Rows,
    options: ContrastiveOptions & {
      gradients: true;
      adapters?: undefined;
      wrt?: undefined;
      perRow?: PerRow;
      perGroup?: PerGroup;
      diagnostics?: Diagnostics;
    },
  ): LossWithGradients<
    'gradients' | 'targetGradients' | 'negativeGradients' | 'temperatureGradient',
    ContrastiveComponents
  > &
    WithPerRow<PerRow> &
    WithDiagnostics<Diagnostics, ContrastiveComponents> &
    WithPerGroup<PerGroup>;
  static contrastive<
    PerRow extends boolean = false,
    Diagnostics extends boolean = false,
    PerGroup extends boolean = false,
  >(
    anchors: Rows,
    positives: Rows,
    negatives: Rows | null | undefined,
    options: ContrastiveOptions & {
      gradients: true;
      adapters?: undefined;
      wrt?: undefined;
      perRow?: PerRow;
      perGroup?: PerGroup;
      diagnostics?: Diagnostics;
    },
  ): LossWithGradients<'gradients' | 'targetGradients' | 'temperatureGradient', ContrastiveComponents> &
    WithPerRow<PerRow> &
    WithDiagnostics<Diagnostics, ContrastiveComponents> &
    WithPerGroup<PerGroup>;
  static contrastive<
    PerRow extends boolean = false,
    Diagnostics extends boolean = false,
    PerGroup extends boolean = false,
  >(
    anchors: Rows,
    positives: Rows,
    negatives?: Rows | null,
    options?: ContrastiveOptions & { perRow?: PerRow; perGroup?: PerGroup; diagnostics?: Diagnostics },
  ): LossResult<ContrastiveComponents> &
    WithPerRow<PerRow> &
    WithDiagnostics<Diagnostics, ContrastiveComponents> &
    WithPerGroup<PerGroup>;
  static contrastive(
    anchors: Rows,
    positives: Rows,
    negatives: Rows | null = null,
    options: ContrastiveOptions = {},
  ): LossResult<ContrastiveComponents> {
    return contrastive(anchors, positives, negatives, options);
  }

  /**
   * Triplet loss: `max(0, |a - p| - |a - n| + margin)` with Euclidean distances (Schroff et al. 2015, "FaceNet").
   *
   * @param anchors n rows.
   * @param positives n rows.
   * @param negatives n rows.
   * @returns The mean loss. With `diagnostics: true` there are further components, see {@link TripletComponents}.
   */
  static triplet<PerRow extends boolean = false, Diagnostics extends boolean = false>(
    anchors: Rows,
    positives: Rows,
    negatives: Rows,
    options: TripletOptions & { gradients: true; perRow?: PerRow; diagnostics?: Diagnostics },
  ): LossWithGradients<'gradients' | 'targetGradients' | 'negativeGradients', TripletComponents> &
    WithPerRow<PerRow> &
    WithDiagnostics<Diagnostics, TripletComponents>;
  static triplet<PerRow extends boolean = false, Diagnostics extends boolean = false>(
    anchors: Rows,
    positives: Rows,
    negatives: Rows,
    options?: TripletOptions & { perRow?: PerRow; diagnostics?: Diagnostics },
  ): LossResult<TripletComponents> & WithPerRow<PerRow> & WithDiagnostics<Diagnostics, TripletComponents>;
  static triplet(
    anchors: Rows,
    positives: Rows,
    negatives: Rows,
    options: TripletOptions = {},
  ): LossResult<TripletComponents> {
    return triplet(anchors, positives, negatives, options);
  }

  /**
   * Softmax cross-entropy of logits against class indices.
   *
   * @param predictions n rows of logits, any number of classes each. -Infinity rules a class out.
   * @param targets n class indices, from 0 to the row's length - 1.
   * @returns The mean loss. With `diagnostics: true` there are further components, see {@link CrossEntropyComponents}. A
   *   row of `perRow` is as PyTorch's without reduction: times the weight of its target's class, and 0 for an ignored row.
   *   Rows that do not count are not read and may hold anything. With `perRow` only ignored rows are not read.
   */
  static crossEntropy<PerRow extends boolean = false, Diagnostics extends boolean = false>(
    predictions: Rows,
    targets: ArrayLike<number>,
    options: CrossEntropyOptions & { gradients: true; perRow?: PerRow; diagnostics?: Diagnostics },
  ): LossWithGradients<'gradients', CrossEntropyComponents> &
    WithPerRow<PerRow> &
    WithDiagnostics<Diagnostics, CrossEntropyComponents>;
  static crossEntropy<PerRow extends boolean = false, Diagnostics extends boolean = false>(
    predictions: Rows,
    targets: ArrayLike<number>,
    options?: CrossEntropyOptions & { perRow?: PerRow; diagnostics?: Diagnostics },
  ): LossResult<CrossEntropyComponents> & WithPerRow<PerRow> & WithDiagnostics<Diagnostics, CrossEntropyComponents>;
  static crossEntropy(
    predictions: Rows,
    targets: ArrayLike<number>,
    options: CrossEntropyOptions = {},
  ): LossResult<CrossEntropyComponents> {
    return crossEntropy(predictions, targets, options);
  }

  /**
   * Mean squared error: the mean over the entries of each row, then over the rows.
   *
   * @param predictions n rows.
   * @param targets n rows.
   * @returns The loss. With `gradients: true` also `gradients` of the predictions and `targetGradients` of the targets.
   */
  static mse<PerRow extends boolean = false>(
    predictions: Rows,
    targets: Rows,
    options: MseOptions & { gradients: true; perRow?: PerRow },
  ): LossWithGradients<'gradients' | 'targetGradients', MseComponents> & WithPerRow<PerRow>;
  static mse<PerRow extends boolean = false>(
    predictions: Rows,
    targets: Rows,
    options?: MseOptions & { perRow?: PerRow },
  ): LossResult<MseComponents> & WithPerRow<PerRow>;
  static mse(predictions: Rows, targets: Rows, options: MseOptions = {}): LossResult<MseComponents> {
    return mse(predictions, targets, options);
  }

  /**
   * Cosine embedding loss: `1 - cos` for similar pairs, `max(0, cos - margin)` for the others.
   *
   * @param predictions n rows.
   * @param targets n rows.
   * @param labels n labels: 1 for similar, any other number for dissimilar. `null` means that all are similar.
   * @returns The mean loss. With `diagnostics: true` there are further components, see {@link CosineEmbeddingComponents}.
   */
  static cosineEmbedding<PerRow extends boolean = false, Diagnostics extends boolean = false>(
    predictions: Rows,
    targets: Rows,
    labels: ArrayLike<number> | null | undefined,
    options: CosineEmbeddingOptions & { gradients: true; perRow?: PerRow; diagnostics?: Diagnostics },
  ): LossWithGradients<'gradients' | 'targetGradients', CosineEmbeddingComponents> &
    WithPerRow<PerRow> &
    WithDiagnostics<Diagnostics, CosineEmbeddingComponents>;
  static cosineEmbedding<PerRow extends boolean = false, Diagnostics extends boolean = false>(
    predictions: Rows,
    targets: Rows,
    labels?: ArrayLike<number> | null,
    options?: CosineEmbeddingOptions & { perRow?: PerRow; diagnostics?: Diagnostics },
  ): LossResult<CosineEmbeddingComponents> &
    WithPerRow<PerRow> &
    WithDiagnostics<Diagnostics, CosineEmbeddingComponents>;
  static cosineEmbedding(
    predictions: Rows,
    targets: Rows,
    labels: ArrayLike<number> | null = null,
    options: CosineEmbeddingOptions = {},
  ): LossResult<CosineEmbeddingComponents> {
    return cosineEmbedding(predictions, targets, labels, options);
  }

  /**
   * Weighted sum of losses, of their components by name, and of their gradients if all were computed with
   * `gradients: true`. The gradients of an argument or an adapter are added up over the losses that have them.
   *
   * @param losses Results of other losses with their weights. Without any the loss is 0.
   * @throws TypeError or RangeError that names the loss and the value, also for gradients of different shapes and for a sum
   *   that overflows.
   */
  static combine(losses: Iterable<WeightedLoss>): LossResult<Record<string, number>> {
    return combine(losses);
  }

  /** Cosine similarity over the shorter of two rows. It is 0 for a zero row. */
  static _cosineSimilarity(a: Vector, b: Vector): number {
    return cosineOf(a, b);
  }

  /** Euclidean distance over the shorter of two rows. */
  static _euclideanDistance(a: Vector, b: Vector): number {
    return euclidean(a, b);
  }
}
