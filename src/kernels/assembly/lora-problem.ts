/**
 * The structures of the kernels in src/kernels/assembly/lora-contrastive.ts. The host fills them in the order of the
 * fields. src/kernels/simd/lora-contrastive.ts lists the same names. Strides are in floats. All `usize` fields are
 * pointers.
 */

/** An adapter: `y = [x +] scaling · x · A · B`. */
@unmanaged
export class Side {
  scaling: f64;
  rank: i32;
  /** `rank` rounded up to a multiple of 8. */
  ranks: i32;
  dim: i32;
  /** Stride of the input rows. */
  inStride: i32;
  isSquare: i32;
  /** dim rows of `ranks` floats. */
  a: usize;
  /** `rank` rows of the problem's stride, and the same rows in panels. */
  b: usize;
  bPanels: usize;
}

/** InfoNCE of anchors against candidates, where either may go through an adapter. */
@unmanaged
export class Problem {
  temperature: f64;
  /** The smallest norm of a candidate above 0. */
  smallestNorm: f64;
  /** Adapter of the anchors, and adapter of the candidates; null pointers for none. */
  query: usize;
  answer: usize;
  /** Number of anchors in all, per chunk, and per block. */
  anchorCount: i32;
  chunkRows: i32;
  blockRows: i32;
  /** Number of candidates, and the same rounded up to a multiple of 16. */
  candidateCount: i32;
  columns: i32;
  /** Strides of the compared rows, of the rows of cosines, and of statistics per candidate. */
  stride: i32;
  tileStride: i32;
  columnStride: i32;
  isBackward: i32;
  /** Column of the first anchor's positive. */
  firstOwn: i32;
  anchors: usize;
  /** Candidates before the adapter, where there is one. */
  candidates: usize;
  /** Candidates after the adapter: normalised, the same in panels, and their norms in float64 and float32. */
  unit: usize;
  panels: usize;
  norms: usize;
  norms32: usize;
  /** For each candidate, `V̂·Bᵀ` of the query adapter, then `H/|v|` of the answer adapter. */
  right: usize;
  /** `B·V̂ᵀ` of the answer adapter: `rank` rows of `columnStride`. */
  projected: usize;
  /** One integer per row; null pointers without groups. */
  anchorGroups: usize;
  candidateGroups: usize;
  coefficients: usize;
  /** For each anchor the highest cosine, the sum of the other weights, and the own cosine, in float64. */
  results: usize;
  /** For each chunk an `Output` and the gradients that follow it, `outputBytes` per chunk. */
  outputs: usize;
  outputBytes: i32;
  /** Candidates as 16-bit integers, in rows and in panels; null pointers where cosines are float32. */
  unit16: usize;
  panels16: usize;
}

/**
 * The sums of a chunk. Float32 gradients follow: A (rows of `ranks`) and B of the query adapter, then of the answer
 * adapter.
 */
@unmanaged
export class Output {
  /** Σ gradient · (cosine - own cosine). */
  heat: f64;
  /** The smallest norm of an anchor above 0. */
  smallestNorm: f64;
}

export const OUTPUT_BYTES: usize = 64;

/** The working memory of a chunk. */
@unmanaged
export class Scratch {
  /** The block's anchors after the adapter, normalised. `hidden`: scaling · x · A. `norms`, and `quotients`: ε/|a|. */
  unit: usize;
  /** The unit rows as 16-bit integers, where the problem has them. */
  unit16: usize;
  hidden: usize;
  norms: usize;
  quotients: usize;
  /** Cosines and softmax weights. Both are one region where cosines are not needed after the weights. */
  cosines: usize;
  weights: usize;
  /** One row of cosines. */
  row: usize;
  /** Factors from weights to gradients, and Σ gradient · cosine of each anchor. */
  scales: usize;
  radials: usize;
  /**
   * For each anchor `scale · H/|u|` of the query adapter, then `scale · Û·B'ᵀ` of the answer's. `products`: weights ·
   * `Problem.right`.
   */
  left: usize;
  products: usize;
  /** Gradient of the query adapter's hidden values. */
  gradHidden: usize;
  /** `leftᵀ · weights`, summed over the blocks. `columnRadials`: σ = Σ gradient · cosine of each candidate. */
  statistics: usize;
  columnRadials: usize;
  /** For each candidate of the answer adapter, `-σ · H/|v|` and the gradient of its hidden values. */
  radialHidden: usize;
  gradColumns: usize;
}

const LINE: usize = 64;
let top: usize = 0;

function take(bytes: usize): usize {
  const start = top;
  top = (start + bytes + LINE - 1) & ~(LINE - 1);
  return start;
}

export function ranksOf(side: usize): i32 {
  return side == 0 ? 0 : changetype<Side>(side).ranks;
}

/** Lays out a chunk's regions after the `Scratch` at `pointer`, and returns where they end. */
export function layOut(p: Problem, pointer: usize): usize {
  const s = changetype<Scratch>(pointer);
  top = pointer;
  take(offsetof<Scratch>());
  const rows = <usize>p.blockRows, ranks = <usize>(ranksOf(p.query) + ranksOf(p.answer));
  s.unit = take(4 * rows * p.stride);
  s.unit16 = p.panels16 != 0 ? take(2 * rows * p.stride) : 0;
  s.hidden = take(4 * rows * ranksOf(p.query));
  s.norms = take(8 * rows);
  s.quotients = take(4 * rows);
  s.cosines = take(4 * rows * p.tileStride);
  s.weights = p.answer != 0 && p.isBackward ? take(4 * rows * p.tileStride) : s.cosines;
  s.row = take(4 * <usize>p.tileStride);
  s.scales = take(8 * rows);
  s.radials = take(8 * rows);
  if (!p.isBackward) return top;
  s.left = take(4 * rows * ranks);
  s.products = take(4 * rows * ranks);
  s.gradHidden = take(4 * rows * ranksOf(p.query));
  s.statistics = take(4 * ranks * p.columnStride);
  s.columnRadials = take(4 * <usize>p.columnStride);
  s.radialHidden = take(4 * <usize>p.columns * ranksOf(p.answer));
  s.gradColumns = take(4 * <usize>p.columns * ranksOf(p.answer));
  return top;
}

/** Bytes of working memory that a chunk needs. `pointer` must point to a region of a few hundred bytes. */
export function loraScratchBytes(problem: usize, pointer: usize): usize {
  return layOut(changetype<Problem>(problem), pointer) - pointer;
}
