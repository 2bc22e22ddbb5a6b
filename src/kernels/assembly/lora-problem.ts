/**
 * What the kernels of src/kernels/assembly/lora-contrastive.ts read and write. The host fills blocks in by the order of
 * the fields: src/kernels/simd/lora-contrastive.ts lists the same names. Counts of rows and columns are in rows and
 * columns, strides in floats, all others are pointers.
 */

/** An adapter: `y = [x +] scaling · x · A · B`. */
@unmanaged
export class Side {
  scaling: f64;
  rank: i32;
  /** `rank` rounded up to a multiple of 8. */
  ranks: i32;
  dim: i32;
  /** Floats from input row to input row. */
  inStride: i32;
  isSquare: i32;
  /** dim rows of `ranks` floats. */
  a: usize;
  /** `rank` rows of the problem's stride, and their panels. */
  b: usize;
  bPanels: usize;
}

/** InfoNCE of anchors against candidates, each behind an adapter or none. */
@unmanaged
export class Problem {
  temperature: f64;
  /** The smallest norm of a candidate but 0. */
  smallestNorm: f64;
  /** Adapter of the anchors, and of the candidates; null pointers for none. */
  query: usize;
  answer: usize;
  /** Anchors, those of a chunk, and those compared at a time. */
  anchorCount: i32;
  chunkRows: i32;
  blockRows: i32;
  /** Candidates, and the same rounded up to a multiple of 16. */
  candidateCount: i32;
  columns: i32;
  /** Floats from row to row of what is compared, of cosines, and of statistics by candidate. */
  stride: i32;
  tileStride: i32;
  columnStride: i32;
  isBackward: i32;
  /** Column of the first anchor's own candidate. */
  firstOwn: i32;
  anchors: usize;
  /** Rows before the adapter, where there is one. */
  candidates: usize;
  /** Rows behind it, normalised; in panels; their norms in float64 and float32. */
  unit: usize;
  panels: usize;
  norms: usize;
  norms32: usize;
  /** By candidate `V̂·Bᵀ` of the query adapter, then `H/|v|` of the answer adapter. */
  right: usize;
  /** `B·V̂ᵀ` of the answer adapter: rank rows of `columnStride`. */
  projected: usize;
  /** One integer for each row; null pointers where there are none. */
  anchorGroups: usize;
  candidateGroups: usize;
  coefficients: usize;
  /** For each anchor the highest cosine, the sum of the other weights, the own cosine, in float64. */
  results: usize;
  /** For each chunk an `Output` and the gradients behind it, `outputBytes` in all. */
  outputs: usize;
  outputBytes: i32;
  /** Candidates as 16-bit integers, in rows and in panels; null pointers where cosines are computed in float32. */
  unit16: usize;
  panels16: usize;
}

/** The sums of a chunk; the gradients of A (rows of `ranks`) and of B of the query, then of the answer adapter follow it in float32. */
@unmanaged
export class Output {
  /** Σ gradient · (cosine - own cosine). */
  heat: f64;
  /** The smallest norm of an anchor but 0. */
  smallestNorm: f64;
}

export const OUTPUT_BYTES: usize = 64;

/** Where a chunk keeps what it works on. */
@unmanaged
export class Scratch {
  /** The block's anchors behind the adapter, normalised; before it rank floats each, scaled; their norms; ε/|a|. */
  unit: usize;
  /** The unit rows as 16-bit integers, where the problem has such. */
  unit16: usize;
  hidden: usize;
  norms: usize;
  quotients: usize;
  /** Cosines and softmax weights; one region where cosines are not needed after the weights. */
  cosines: usize;
  weights: usize;
  /** One row of cosines. */
  row: usize;
  /** Factors from weights to gradients, and Σ gradient · cosine by anchor. */
  scales: usize;
  radials: usize;
  /** By anchor the query's `scale · H/|u|`, then the answer's `scale · Û·B'ᵀ`; and weights · `Problem.right`. */
  left: usize;
  products: usize;
  /** Gradient of the query's hidden floats. */
  gradHidden: usize;
  /** `leftᵀ · weights`, added up over the blocks; Σ gradient · cosine by candidate. */
  statistics: usize;
  columnRadials: usize;
  /** By candidate of the answer adapter's: `-σ · H/|v|`, σ being the above, and the gradient of its hidden floats. */
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

/** Lays a chunk's regions out from `pointer` on, behind the `Scratch` itself, and returns where they end. */
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

/** Bytes that a chunk needs to work in; `pointer` is that of a region of a few hundred bytes. */
export function loraScratchBytes(problem: usize, pointer: usize): usize {
  return layOut(changetype<Problem>(problem), pointer) - pointer;
}
