/** Rows are what a training script holds, so each library copies them in. */
export function flat(rows) {
  return flatInto(new Float32Array(rows.length * rows[0].length), rows);
}

/** The same into an array that is there. */
export function flatInto(all, rows) {
  const width = rows[0].length;
  for (let i = 0; i < rows.length; i++) all.set(rows[i], i * width);
  return all;
}
