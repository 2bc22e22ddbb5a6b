interface Signature {
  /** The first bytes. */
  start: readonly number[];
  /** The format that they seem to have, and what to do about it. */
  advice: string;
}

const ascii = (text: string): number[] => Array.from(text, character => character.charCodeAt(0));

const SIGNATURES: readonly Signature[] = [
  { start: [0x1f, 0x8b, 8], advice: 'gzip; decompress it first' },
  { start: [0x28, 0xb5, 0x2f, 0xfd], advice: 'zstd; decompress it first' },
  { start: [0xfd, ...ascii('7zXZ')], advice: 'xz; decompress it first' },
  { start: ascii('BZh'), advice: 'bzip2; decompress it first' },
  {
    start: [...ascii('PK'), 3, 4],
    advice: "a zip archive, or PyTorch's; unpack it, or save the tensors as safetensors",
  },
  { start: ascii('PAR1'), advice: 'Parquet; convert it to JSON Lines' },
  { start: ascii('GGUF'), advice: 'GGUF; convert it to safetensors' },
  { start: ascii('version https://git-lfs'), advice: 'a pointer of Git LFS; run git lfs pull' },
  { start: [0xff, 0xfe], advice: 'UTF-16; save it as UTF-8' },
  { start: [0xfe, 0xff], advice: 'UTF-16; save it as UTF-8' },
];

/** The format that unexpected bytes seem to have, and what to do. Undefined if it is not known. */
export function seemsToBe(bytes: Uint8Array): string | undefined {
  const known = SIGNATURES.find(({ start }) => start.every((byte, i) => bytes[i] === byte));
  if (known) return known.advice;
  return isWideText(bytes) ? 'UTF-16; save it as UTF-8' : undefined;
}

/** Whether ASCII characters and zeros alternate. Most texts start with ASCII. */
function isWideText([first, second, third, fourth]: Uint8Array): boolean {
  const isLittleEndian = isAscii(first) && second === 0 && isAscii(third) && fourth === 0;
  const isBigEndian = first === 0 && isAscii(second) && third === 0 && isAscii(fourth);
  return isLittleEndian || isBigEndian;
}

/** A printable character or white space. */
function isAscii(byte: number | undefined): boolean {
  return byte !== undefined && byte < 0x7f && (byte >= 0x20 || (byte >= 0x09 && byte <= 0x0d));
}
