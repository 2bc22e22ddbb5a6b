import { fromBase64, toBase64 } from '#platform/base64';

const MOST_VARINT_BYTES = 5;

/**
 * Counts as text, if most of them are 0. For each other count, the text has the distance to it and the count as LEB128
 * integers. All are in base64.
 */
export function packCounts(counts: Uint32Array): string {
  const bytes: number[] = [];
  let next = 0;
  for (let i = 0; i < counts.length; i++) {
    if (counts[i] === 0) continue;
    pushVarint(bytes, i - next);
    pushVarint(bytes, counts[i]!);
    next = i + 1;
  }
  return toBase64(Uint8Array.from(bytes));
}

/**
 * The counts of a text of {@link packCounts}.
 *
 * @param length Number of counts.
 * @param most The greatest count allowed.
 * @returns Undefined if {@link packCounts} makes no such text.
 */
export function unpackCounts(text: string, length: number, most: number): Uint32Array | undefined {
  const bytes = fromBase64(text);
  // The text may have characters that are skipped, or spare bits.
  if (toBase64(bytes) !== text) return undefined;
  const counts = new Uint32Array(length);
  let place = 0;
  const readVarint = (): number => {
    let value = 0;
    for (let i = 0; i < MOST_VARINT_BYTES; i++) {
      const byte = bytes[place++];
      if (byte === undefined) break;
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return byte === 0 && i > 0 ? Number.NaN : value;
    }
    return Number.NaN;
  };
  for (let next = 0; place < bytes.length; next++) {
    next += readVarint();
    const count = readVarint();
    if (!(next < length && count >= 1 && count <= most)) return undefined;
    counts[next] = count;
  }
  return counts;
}

function pushVarint(bytes: number[], value: number): void {
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
}
