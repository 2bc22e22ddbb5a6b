import type { Rows, Vector } from '../../types.js';
import type { ContrastiveProblem, ContrastiveResult, WantedGradients } from '../kernels.js';
import { commonWidth, toFloat32Rows } from '../matrix.js';
import { COSINE_EPSILON, cosineInOrder, dot, dotInOrder, norm } from '../vector.js';

export function contrastive(problem: ContrastiveProblem): ContrastiveResult {
  const { anchors, positives, candidates, kind, own, groups, temperature, coefficients } = problem;
  const isBatch = kind === 'batch';
  const anchorNorms = norms(anchors);
  const candidateNorms = norms(candidates);
  const firstOwn = problem.firstOwn ?? 0;
  const positiveNorms = isBatch ? candidateNorms.subarray(firstOwn) : norms(positives);
  const ownRows = own ? own.rows : [];
  const ownNorms = norms(ownRows);
  const ownCount = ownRows.length / anchors.length;
  const count = candidates.length;
  // An anchor's own negatives come after the candidates.
  const similarities = new Float64Array(count + ownCount);
  const gradients = problem.wanted ? gradientBuffers(problem, problem.wanted) : undefined;

  let loss = 0;
  let temperatureGradient = 0;
  for (let i = 0; i < anchors.length; i++) {
    const similarity = normalizedDot(anchors[i]!, anchorNorms[i]!, positives[i]!, positiveNorms[i]!);
    let highest = similarity;
    for (let j = 0; j < count; j++) {
      const isSkipped =
        (isBatch && j === firstOwn + i) || (groups !== null && groups.anchors[i] === groups.candidates[j]);
      similarities[j] = isSkipped
        ? -Infinity
        : normalizedDot(anchors[i]!, anchorNorms[i]!, candidates[j]!, candidateNorms[j]!);
      if (!(similarities[j]! <= highest)) highest = similarities[j]!;
    }
    for (let k = 0, j = count, at = i * ownCount; k < ownCount; k++, j++, at++) {
      similarities[j] = own?.isSkipped[at]
        ? -Infinity
        : normalizedDot(anchors[i]!, anchorNorms[i]!, ownRows[at]!, ownNorms[at]!);
      if (!(similarities[j]! <= highest)) highest = similarities[j]!;
    }
    // log Σ exp relative to the highest similarity cannot overflow; log1p keeps small losses exact.
    let others = 0;
    for (let j = 0; j < similarities.length; j++) others += Math.exp((similarities[j]! - highest) / temperature);
    const share = Math.exp((similarity - highest) / temperature);
    const total = others + share;
    const rowLoss = share === 1 ? Math.log1p(others) : (highest - similarity) / temperature + Math.log(total);
    loss += coefficients[i]! * rowLoss;
    if (problem.losses) problem.losses[i] = rowLoss;

    if (gradients) {
      const scale = coefficients[i]! / temperature;
      const anchor = { row: anchors[i]!, norm: anchorNorms[i]!, gradient: gradients.anchors?.[i] };
      const ofPositive = isBatch ? gradients.candidates?.[firstOwn + i] : gradients.positives?.[i];
      const positive = { row: positives[i]!, norm: positiveNorms[i]!, gradient: ofPositive };
      const ownScale = scale * (others / total);
      addCosineGradient(anchor, positive, similarity, -ownScale);
      for (let j = 0; j < similarities.length; j++) {
        const weight = Math.exp((similarities[j]! - highest) / temperature) / total;
        if (weight === 0) continue;
        const at = i * ownCount + j - count;
        const negative =
          j < count
            ? { row: candidates[j]!, norm: candidateNorms[j]!, gradient: gradients.candidates?.[j] }
            : { row: ownRows[at]!, norm: ownNorms[at]!, gradient: gradients.own?.[at] };
        addCosineGradient(anchor, negative, similarities[j]!, scale * weight);
        // The anchor's own weight is the sum of the other weights. In this form no terms cancel.
        temperatureGradient -= (scale * weight * (similarities[j]! - similarity)) / temperature;
      }
    }
  }
  if (!gradients) return { loss };
  return {
    loss,
    gradients: {
      anchors: gradients.anchors && toFloat32Rows(gradients.anchors),
      positives: gradients.positives && toFloat32Rows(gradients.positives),
      candidates: gradients.candidates && toFloat32Rows(gradients.candidates),
      own: gradients.own && toFloat32Rows(gradients.own),
      temperature: temperatureGradient,
      areBounded: false,
    },
  };
}

/** Sums in plain order, as the original does, so nearly equal cosines rank as in the original, to the last bit. */
export function hardestNegatives(anchors: Rows, positives: Rows): Int32Array {
  const isUniform = commonWidth(anchors, positives) > 0;
  const positiveNorms = positives.map(row => Math.sqrt(dotInOrder(row, row, row.length)));
  return Int32Array.from(anchors, (anchor, i) => {
    const anchorNorm = Math.sqrt(dotInOrder(anchor, anchor, anchor.length));
    let hardest = -1;
    let highest = -Infinity;
    for (let j = 0; j < positives.length; j++) {
      if (j === i) continue;
      const positive = positives[j]!;
      const similarity = isUniform
        ? dotInOrder(anchor, positive, anchor.length) / (anchorNorm * positiveNorms[j]! + COSINE_EPSILON)
        : cosineInOrder(anchor, positive);
      if (Number.isNaN(similarity)) return -1;
      if (similarity > highest) {
        highest = similarity;
        hardest = j;
      }
    }
    return hardest;
  });
}

export function cosineRows(
  anchors: Rows,
  candidates: Rows,
  visit: (anchor: number, cosines: ArrayLike<number>) => void,
): void {
  const candidateNorms = norms(candidates);
  const cosines = new Float64Array(candidates.length);
  anchors.forEach((anchor, i) => {
    const anchorNorm = norm(anchor, anchor.length);
    for (let j = 0; j < candidates.length; j++)
      cosines[j] = normalizedDot(anchor, anchorNorm, candidates[j]!, candidateNorms[j]!);
    visit(i, cosines);
  });
}

interface CosineArgument {
  row: Vector;
  norm: number;
  /** Undefined where the gradient is not wanted. */
  gradient: Float64Array | undefined;
}

/**
 * Adds `scale · ∂cos/∂a` and `scale · ∂cos/∂b`. With cos = a·b / (|a||b| + ε) the derivative is
 * ∂cos/∂a = (b - cos · |b|/|a| · a) / (|a||b| + ε). The gradient at a zero row is 0.
 */
function addCosineGradient(a: CosineArgument, b: CosineArgument, similarity: number, scale: number): void {
  const length = Math.min(a.row.length, b.row.length);
  const normA = prefixNorm(a.row, a.norm, length);
  const normB = prefixNorm(b.row, b.norm, length);
  if (normA === 0 || normB === 0) return;
  const cross = scale / (normA * normB + COSINE_EPSILON);
  const radialA = (cross * similarity * normB) / normA;
  const radialB = (cross * similarity * normA) / normB;
  if (a.gradient) addTangent(a.gradient, a.row, b.row, radialA, cross, length);
  if (b.gradient) addTangent(b.gradient, b.row, a.row, radialB, cross, length);
}

/** Adds `cross · other - radial · row`. */
function addTangent(
  gradient: Float64Array,
  row: Vector,
  other: Vector,
  radial: number,
  cross: number,
  length: number,
): void {
  for (let k = 0; k < length; k++) gradient[k]! += cross * other[k]! - radial * row[k]!;
}

function normalizedDot(a: Vector, normA: number, b: Vector, normB: number): number {
  const length = Math.min(a.length, b.length);
  return dot(a, b, length) / (prefixNorm(a, normA, length) * prefixNorm(b, normB, length) + COSINE_EPSILON);
}

/** Rows of unequal length are compared over the shorter, and so are their norms. */
function prefixNorm(row: Vector, wholeNorm: number, length: number): number {
  return length === row.length ? wholeNorm : norm(row, length);
}

function norms(rows: Rows): Float64Array {
  return Float64Array.from(rows, row => norm(row, row.length));
}

/** Null where gradients are not wanted, or where there are no rows. */
type GradientBuffers = Record<'anchors' | 'positives' | 'candidates' | 'own', Float64Array[] | null>;

function gradientBuffers(
  { anchors, positives, candidates, kind, own }: ContrastiveProblem,
  wanted: WantedGradients,
): GradientBuffers {
  const zeros = (rows: Rows): Float64Array[] => rows.map(row => new Float64Array(row.length));
  return {
    anchors: wanted.anchors ? zeros(anchors) : null,
    positives: wanted.positives && kind === 'others' ? zeros(positives) : null,
    candidates: wanted.candidates ? zeros(candidates) : null,
    own: wanted.own && own ? zeros(own.rows) : null,
  };
}
