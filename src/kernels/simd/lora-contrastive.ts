import type { Adapter } from '../../types.js';
import { groupRowsOf } from '../anchor-groups.js';
import type { LoraContrastiveProblem, LoraContrastiveResult } from '../kernels.js';
import { asMatrix, commonWidth } from '../matrix.js';
import { HIGHEST_TEMPERATURE, isBounded, LOWEST_TEMPERATURE, rowLossOf } from './contrastive.js';
import { type KernelMemory, roundUp, strideOf } from './memory.js';

/**
 * Largest number of anchors per block, and of entries of their cosines (2 MiB). Smaller blocks read the candidates more
 * often.
 */
const BLOCK_ROWS = 128;
const BLOCK_ENTRIES = 2 ** 19;

/** The fields of `Side` and `Problem` in src/kernels/assembly/lora-problem.ts, in order, float64s first. */
const SIDE_FIELDS = ['rank', 'ranks', 'dim', 'inStride', 'isSquare', 'a', 'b', 'bPanels'] as const;
const PROBLEM_FIELDS = [
  'query',
  'answer',
  'anchorCount',
  'chunkRows',
  'blockRows',
  'candidateCount',
  'columns',
  'stride',
  'tileStride',
  'columnStride',
  'isBackward',
  'firstOwn',
  'anchors',
  'candidates',
  'unit',
  'panels',
  'norms',
  'norms32',
  'right',
  'projected',
  'anchorGroups',
  'candidateGroups',
  'coefficients',
  'results',
  'outputs',
  'outputBytes',
  'unit16',
  'panels16',
] as const;
/** Bytes of the sums of `Output` (float64: heat, smallest norm), which come before its gradients. */
const OUTPUT_BYTES = 64;

/** An adapter in the kernels' memory. */
interface Side extends Record<(typeof SIDE_FIELDS)[number], number> {
  pointer: number;
  adapter: Adapter;
}
type Fields = Record<(typeof PROBLEM_FIELDS)[number], number>;

/** Multiply-adds that threads share. One chunk alone cannot be shared. */
export function loraContrastiveWork(problem: LoraContrastiveProblem): number {
  const { anchors, candidates } = problem;
  if (anchors.length <= groupRowsOf(adaptersOf(problem))) return 0;
  return anchors.length * candidates.length * anchors[0]!.length;
}

/**
 * The loss and the adapters' gradients, in two passes over chunks: candidates, then anchors. One result, or one per chunk
 * with `perGroup`. Undefined where this is not cheaper than separate calls, and where numbers are beyond float32.
 */
export function loraContrastive(
  memory: KernelMemory,
  problem: LoraContrastiveProblem,
): LoraContrastiveResult[] | undefined {
  const { anchors, candidates, temperature, groups, coefficients, losses } = problem;
  const width = fusedWidth(problem);
  if (width === 0) return undefined;
  const isBackward = problem.gradients;
  const isInt16 = problem.precision === 'int16';
  const stride = strideOf(width);
  const n = anchors.length;
  const m = candidates.length;

  memory.begin();
  const block = memory.take(512);
  const query = takeSide(memory, problem.query, stride);
  const answer = takeSide(memory, problem.answer, stride);
  const columns = roundUp(m, 16);
  const tileStride = strideOf(columns);
  const ranks = (query?.ranks ?? 0) + (answer?.ranks ?? 0);
  const chunkRows = groupRowsOf(adaptersOf(problem));
  const chunks = Math.ceil(n / chunkRows);
  const outputBytes =
    OUTPUT_BYTES + (isBackward ? roundUp(gradientBytes(query, stride) + gradientBytes(answer, stride), 64) : 0);
  const fields: Fields = {
    query: query?.pointer ?? 0,
    answer: answer?.pointer ?? 0,
    anchorCount: n,
    chunkRows,
    blockRows: Math.min(n, BLOCK_ROWS, Math.max(8, 8 * Math.floor(BLOCK_ENTRIES / tileStride / 8))),
    candidateCount: m,
    columns,
    stride,
    tileStride,
    columnStride: tileStride,
    isBackward: isBackward ? 1 : 0,
    firstOwn: problem.firstOwn ?? 0,
    anchors: memory.take(4 * n * (query?.inStride ?? stride)),
    candidates: answer ? memory.take(4 * m * answer.inStride) : 0,
    unit: memory.take(4 * columns * stride),
    panels: memory.take(4 * columns * stride),
    norms: memory.take(8 * columns),
    norms32: memory.take(4 * columns),
    right: isBackward ? memory.take(4 * columns * ranks) : 0,
    projected: answer && isBackward ? memory.take(4 * answer.rank * tileStride) : 0,
    anchorGroups: groups ? memory.take(4 * n) : 0,
    candidateGroups: groups ? memory.take(4 * columns) : 0,
    coefficients: memory.take(8 * n),
    results: memory.take(24 * n),
    outputs: memory.take(outputBytes * chunks),
    outputBytes,
    unit16: isInt16 ? memory.take(2 * columns * stride) : 0,
    panels16: isInt16 ? memory.take(2 * columns * stride) : 0,
  };
  memory.commit();
  memory.f64[block / 8] = temperature;
  memory.i32.set(
    PROBLEM_FIELDS.map(name => fields[name]),
    block / 4 + 4,
  );
  if (query) writeSide(memory, query, stride);
  if (answer) writeSide(memory, answer, stride);
  const hiddenBytes = answer ? 4 * chunkRows * answer.ranks : 0;
  const scratch = memory.takeScratch(Math.max(memory.call.loraScratchBytes(block, block + 256), hiddenBytes));
  memory.commit();

  memory.writeRows(anchors, fields.anchors, query?.inStride ?? stride);
  memory.writeRows(candidates, answer ? fields.candidates : fields.unit, answer?.inStride ?? stride);
  memory.f64.set(coefficients, fields.coefficients / 8);
  if (groups) {
    memory.i32.set(groups.anchors, fields.anchorGroups / 4);
    memory.i32.set(groups.candidates, fields.candidateGroups / 4);
  }
  memory.forEach('loraCandidates', Math.ceil(m / chunkRows), block, scratch, m * stride * (4 + 2 * ranks));
  const smallestNorm = smallestOf(memory, fields.norms, m);
  // A row that no anchor counts does not change the loss, but a number that is not finite would spoil the gradients.
  if (Number.isNaN(smallestNorm)) return undefined;
  memory.f64[block / 8 + 1] = smallestNorm;
  memory.forEach('loraAnchors', chunks, block, scratch);

  const isTied = problem.query !== null && problem.query === problem.answer;
  const tiedBytes = isTied && isBackward ? gradientBytes(query, stride) : 0;
  /** The sum of the chunks from one to another. The first chunk's memory gets the gradients. */
  const resultOf = (from: number, to: number): LoraContrastiveResult | undefined => {
    const output = fields.outputs + from * outputBytes;
    let [loss, ofTemperature] = [0, 0];
    for (let chunk = from; chunk < to; chunk++) {
      const first = chunk * chunkRows;
      loss += lossOfChunk(memory, problem, fields.results, first, Math.min(first + chunkRows, n), losses);
      ofTemperature -= memory.f64[(fields.outputs + chunk * outputBytes) / 8]! / temperature;
    }
    const squares = memory.call.loraSum(block, output, to - from, tiedBytes);
    // Where gradients of rows may be beyond float32, separate calls find out.
    const isSafe = isBounded(problem, Math.min(smallestNorm, memory.f64[output / 8 + 1]!));
    if (!isSafe || !Number.isFinite(loss)) return undefined;
    if (!isBackward) return { loss };
    if (!Number.isFinite(squares)) return undefined;
    const ofQuery = output + OUTPUT_BYTES;
    return {
      loss,
      gradients: {
        query: query && readGradients(memory, query, stride, ofQuery),
        answer:
          answer && !isTied ? readGradients(memory, answer, stride, ofQuery + gradientBytes(query, stride)) : null,
        temperature: ofTemperature,
      },
    };
  };
  const count = problem.perGroup ? chunks : 1;
  const results = Array.from({ length: count }, (_, i) => resultOf(i, count === 1 ? chunks : i + 1));
  return results.every(result => result !== undefined) ? results : undefined;
}

function adaptersOf({ query, answer }: LoraContrastiveProblem): Adapter[] {
  return [query, answer].filter(adapter => adapter !== null);
}

/** The length of the compared rows, or 0 where separate calls are as fast or more exact. */
function fusedWidth({ anchors, candidates, kind, own, query, answer, temperature }: LoraContrastiveProblem): number {
  if (kind !== 'batch' || own) return 0;
  if (temperature < LOWEST_TEMPERATURE || temperature > HIGHEST_TEMPERATURE) return 0;
  const [ofAnchors, ofCandidates] = [commonWidth(anchors), commonWidth(candidates)];
  const width = query ? query.loraB[0]!.length : ofAnchors;
  if (query && query.loraA.length !== ofAnchors) return 0;
  if (answer && answer.loraA.length !== ofCandidates) return 0;
  if (ofAnchors === 0 || ofCandidates === 0 || width !== (answer ? answer.loraB[0]!.length : ofCandidates)) return 0;
  const ranks = [query, answer].map(adapter => (adapter ? roundUp(adapter.loraB.length, 8) : 0));
  // The choice does not depend on `gradients`, so the loss does not either. For each pair of rows, this way takes one
  // product over the width and two over the ranks. Separate calls take two or three over the width.
  return 2 * (ranks[0]! + ranks[1]!) <= (answer ? 2 : 1) * strideOf(width) ? width : 0;
}

function takeSide(memory: KernelMemory, adapter: Adapter | null, stride: number): Side | null {
  if (!adapter) return null;
  const dim = adapter.loraA.length;
  const rank = adapter.loraB.length;
  const ranks = roundUp(rank, 8);
  const padded = roundUp(rank, 16);
  return {
    adapter,
    pointer: memory.take(64),
    rank,
    ranks,
    dim,
    inStride: strideOf(dim),
    isSquare: dim === adapter.loraB[0]!.length ? 1 : 0,
    a: memory.take(4 * dim * ranks),
    b: memory.take(4 * padded * stride),
    bPanels: memory.take(4 * padded * stride),
  };
}

function writeSide(memory: KernelMemory, side: Side, stride: number): void {
  const { pointer, adapter, rank, ranks, a, b, bPanels } = side;
  memory.f64[pointer / 8] = adapter.scaling;
  memory.i32.set(
    SIDE_FIELDS.map(name => side[name]),
    pointer / 4 + 2,
  );
  memory.writeRows(adapter.loraA, a, ranks);
  memory.writeRows(adapter.loraB, b, stride, roundUp(rank, 16));
  memory.call.packPanels(roundUp(rank, 16), stride, b, 4 * stride, bPanels);
}

/** Bytes of the gradients of A and B. */
function gradientBytes(side: Side | null, stride: number): number {
  return side ? 4 * (side.dim * side.ranks + side.rank * stride) : 0;
}

/** The smallest norm above 0. NaN where a norm is not finite. */
function smallestOf({ f64 }: KernelMemory, norms: number, count: number): number {
  let smallest = Infinity;
  let sum = 0;
  for (let j = 0, at = norms / 8; j < count; j++, at++) {
    const norm = f64[at]!;
    sum += norm;
    if (norm > 0 && norm < smallest) smallest = norm;
  }
  return Number.isFinite(sum) ? smallest : Number.NaN;
}

function lossOfChunk(
  { f64 }: KernelMemory,
  { temperature, coefficients }: LoraContrastiveProblem,
  results: number,
  first: number,
  end: number,
  losses: Float64Array | null,
): number {
  let loss = 0;
  for (let i = first, at = results / 8 + 3 * first; i < end; i++, at += 3) {
    const gap = (f64[at]! - f64[at + 2]!) / temperature;
    const others = f64[at + 1]!;
    const rowLoss = rowLossOf(gap, others, others + Math.exp(-gap));
    loss += coefficients[i]! * rowLoss;
    if (losses) losses[i] = rowLoss;
  }
  return loss;
}

/** The gradients of A, then of B, at `pointer`. */
function readGradients(
  memory: KernelMemory,
  { adapter, rank, ranks, dim }: Side,
  stride: number,
  pointer: number,
): NonNullable<LoraContrastiveResult['gradients']>['query'] {
  const width = adapter.loraB[0]!.length;
  const [gradA, gradB] = [new Float32Array(dim * rank), new Float32Array(rank * width)];
  memory.readRows(pointer, ranks, gradA, 0, dim, rank);
  memory.readRows(pointer + 4 * dim * ranks, stride, gradB, 0, rank, width);
  return { gradA: asMatrix(gradA, dim, rank), gradB: asMatrix(gradB, rank, width) };
}
