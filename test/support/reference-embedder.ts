/**
 * The n-gram embedder in its simplest form: strings, regular expressions and Maps. A feature is spelled out, with
 * a letter in front for its kind: w for a word, s for symbols, g for an n-gram of either, u for an n-gram of an
 * unspaced run.
 */

const HASH_STARTS: Record<string, number> = { w: 0x2f0b4a27, s: 0x2f0b4a27, g: 0x811c9dc5, u: 0x5bd1e995 };
const UNSPACED = /[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}]/u;

/** Every feature of a text, with repeats. */
export function featuresOf(text: string): string[] {
  const visible = text.replace(/\p{Default_Ignorable_Code_Point}/gu, '').replace(/(\p{M}{30})\p{M}+/gu, '$1');
  const characters = Array.from(visible.normalize('NFKC'));
  // One letter per character: U unspaced, S symbol, d digit, A upper case, a other letter.
  let kinds = '';
  for (const character of characters) kinds += kindOf(character, kinds.at(-1) ?? ' ');
  const at = ({ index, 0: { length } }: RegExpMatchArray, from = 0): string[] =>
    characters.slice(from + index!, from + index! + length).map(lower);
  const features: string[] = [];
  for (const run of kinds.matchAll(/U+/g)) for (const n of [1, 2, 3]) features.push(...grams(at(run), n, 'u'));
  for (const run of kinds.matchAll(/S+/g)) features.push(...padded(at(run), 's'));
  for (const run of kinds.matchAll(/[dAa]+/g)) {
    const parts = [...run[0].matchAll(/A+(?!a)|A?a+|d+/g)];
    for (const part of parts) features.push(...padded(at(part, run.index), 'w'));
    if (parts.length > 1) features.push(`w${at(run).join('')}`);
  }
  return features;
}

/** The row of a text, in float64. With texts to fit on, a feature is weighted by the number of texts that have it. */
export function referenceRow(text: string, dim: number, fittedOn?: readonly string[]): number[] {
  const bucketOf = (feature: string): number => hashOf(feature) % 2 ** 19;
  const buckets = fittedOn?.map(each => new Set(featuresOf(each).map(bucketOf)));
  const counts = new Map<string, number>();
  for (const feature of featuresOf(text)) counts.set(feature, (counts.get(feature) ?? 0) + 1);
  const row = new Array<number>(dim).fill(0);
  for (const [feature, count] of counts) {
    const frequency = buckets?.filter(each => each.has(bucketOf(feature))).length ?? 0;
    const rarity = buckets ? 1 / 4 + Math.log((1 + buckets.length) / (1 + frequency)) : 1;
    const weight = (1 + Math.log(count)) * rarity ** 0.75 * (feature.startsWith('w') ? 2 : 1);
    const hash = hashOf(feature);
    row[Math.floor(((Math.floor(hash / 2) % 2 ** 30) / 2 ** 30) * dim)]! += hash % 2 === 1 ? weight : -weight;
  }
  const norm = Math.hypot(...row) || 1;
  return row.map(entry => entry / norm);
}

function kindOf(character: string, before: string): string {
  if (/[\p{P}\p{S}]/u.test(character)) return 'S';
  if (!/[\p{L}\p{N}\p{M}]/u.test(character)) return ' ';
  if (UNSPACED.test(character)) return 'U';
  if (/\p{M}/u.test(character)) return before;
  if (/\p{N}/u.test(character)) return 'd';
  return /\p{Lu}/u.test(character) ? 'A' : 'a';
}

function lower(character: string): string {
  return character === 'ς' ? 'σ' : Array.from(character.toLowerCase())[0]!;
}

function padded(characters: readonly string[], kind: string): string[] {
  const within = [' ', ...characters, ' '];
  return [kind + characters.join(''), ...[3, 4, 5].flatMap(n => grams(within, n, 'g'))];
}

function grams(characters: readonly string[], n: number, kind: string): string[] {
  return characters.flatMap((_, i) => (i + n <= characters.length ? [kind + characters.slice(i, i + n).join('')] : []));
}

/** FNV-1a over code points and the finaliser of MurmurHash3. */
function hashOf(feature: string): number {
  let hash = HASH_STARTS[feature[0]!]!;
  for (const character of feature.slice(1)) hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
