/** Copies rows into one array. A training script holds rows, so each library has to copy them. */
export function flat(rows) {
  return flatInto(new Float32Array(rows.length * rows[0].length), rows);
}

/** Copies rows into an existing array. */
export function flatInto(all, rows) {
  const width = rows[0].length;
  for (let i = 0; i < rows.length; i++) all.set(rows[i], i * width);
  return all;
}
