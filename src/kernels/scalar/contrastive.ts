import type { Rows, Vector } from '../../types.js';
import type { ContrastiveProblem, ContrastiveResult } from '../kernels.js';
import { commonWidth, toFloat32Rows } from '../matrix.js';
import { areEqual, COSINE_EPSILON, cosineInOrder, dot, dotInOrder, norm } from '../vector.js';

export function contrastive(problem: ContrastiveProblem): ContrastiveResult {
  const { anchors, positives, candidates, kind, groups, temperature, coefficients } = problem;
  const isBatch = kind === 'batch';
  const anchorNorms = norms(anchors);
  const candidateNorms = norms(candidates);
  const positiveNorms = isBatch ? candidateNorms : norms(positives);
  const similarities = new Float64Array(candidates.length);
  const gradients = problem.gradients ? gradientBuffers(problem) : undefined;

  let loss = 0;
  let temperatureGradient = 0;
  for (let i = 0; i < anchors.length; i++) {
    const own = cosine(anchors[i]!, anchorNorms[i]!, positives[i]!, positiveNorms[i]!);
    const [start, end] = kind === 'own' ? [i, i + 1] : [0, candidates.length];
    let highest = own;
    for (let j = start; j < end; j++) {
      const isLeftOut = isBatch
        ? j === i || (groups !== null && groups[i] === groups[j])
        : kind === 'own' && areEqual(candidates[j]!, positives[i]!);
      similarities[j] = isLeftOut
        ? -Infinity
        : cosine(anchors[i]!, anchorNorms[i]!, candidates[j]!, candidateNorms[j]!);
      if (!(similarities[j]! <= highest)) highest = similarities[j]!;
    }
    // log Σ exp relative to the highest similarity cannot overflow; log1p keeps small losses exact.
    let others = 0;
    for (let j = start; j < end; j++) others += Math.exp((similarities[j]! - highest) / temperature);
    const ownShare = Math.exp((own - highest) / temperature);
    const total = others + ownShare;
    const rowLoss = ownShare === 1 ? Math.log1p(others) : (highest - own) / temperature + Math.log(total);
    loss += coefficients[i]! * rowLoss;

    if (gradients) {
      const scale = coefficients[i]! / temperature;
      const anchor = { row: anchors[i]!, norm: anchorNorms[i]!, gradient: gradients.anchors[i]! };
      const ofPositive = (isBatch ? gradients.candidates : gradients.positives)[i]!;
      const positive = { row: positives[i]!, norm: positiveNorms[i]!, gradient: ofPositive };
      const ownScale = scale * (others / total);
      addCosineGradient(anchor, positive, own, -ownScale);
      temperatureGradient += (ownScale * own) / temperature;
      for (let j = start; j < end; j++) {
        const share = Math.exp((similarities[j]! - highest) / temperature) / total;
        if (share === 0) continue;
        const candidate = { row: candidates[j]!, norm: candidateNorms[j]!, gradient: gradients.candidates[j]! };
        addCosineGradient(anchor, candidate, similarities[j]!, scale * share);
        temperatureGradient -= (scale * share * similarities[j]!) / temperature;
      }
    }
  }
  if (!gradients) return { loss };
  return {
    loss,
    gradients: {
      anchors: toFloat32Rows(gradients.anchors),
      positives: isBatch ? null : toFloat32Rows(gradients.positives),
      candidates: toFloat32Rows(gradients.candidates),
      temperature: temperatureGradient,
    },
  };
}

/** Adds up in plain order, as the original does, so that nearly equal cosines rank as there, to the last bit. */
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
      cosines[j] = cosine(anchor, anchorNorm, candidates[j]!, candidateNorms[j]!);
    visit(i, cosines);
  });
}

interface CosineArgument {
  row: Vector;
  norm: number;
  gradient: Float64Array;
}

/**
 * Adds `scale · ∂cos/∂a` and `scale · ∂cos/∂b`, where cos = a·b / (|a||b| + ε), so that
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
  for (let k = 0; k < length; k++) {
    const x = a.row[k]!;
    const y = b.row[k]!;
    a.gradient[k]! += cross * y - radialA * x;
    b.gradient[k]! += cross * x - radialB * y;
  }
}

function cosine(a: Vector, normA: number, b: Vector, normB: number): number {
  const length = Math.min(a.length, b.length);
  return dot(a, b, length) / (prefixNorm(a, normA, length) * prefixNorm(b, normB, length) + COSINE_EPSILON);
}

/** Rows of unequal length compare over the shorter, and so do their norms. */
function prefixNorm(row: Vector, wholeNorm: number, length: number): number {
  return length === row.length ? wholeNorm : norm(row, length);
}

function norms(rows: Rows): Float64Array {
  return Float64Array.from(rows, row => norm(row, row.length));
}

interface GradientBuffers {
  anchors: Float64Array[];
  /** Empty where the positives are among the candidates. */
  positives: Float64Array[];
  candidates: Float64Array[];
}

function gradientBuffers({ anchors, positives, candidates, kind }: ContrastiveProblem): GradientBuffers {
  const zeros = (rows: Rows): Float64Array[] => rows.map(row => new Float64Array(row.length));
  return {
    anchors: zeros(anchors),
    positives: kind === 'batch' ? [] : zeros(positives),
    candidates: zeros(candidates),
  };
}
