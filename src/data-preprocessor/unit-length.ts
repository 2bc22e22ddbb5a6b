/** Scales a row to unit length in place; a zero row stays. */
export function toUnitLength<Row extends Float32Array>(row: Row): Row {
  let squares = 0;
  for (let i = 0; i < row.length; i++) squares += row[i]! * row[i]!;
  const norm = Math.sqrt(squares) || 1;
  for (let i = 0; i < row.length; i++) row[i]! /= norm;
  return row;
}
