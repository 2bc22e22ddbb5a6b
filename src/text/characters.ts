/**
 * The kinds of characters for the n-gram embedder. `LOWER` is every letter that is not upper case. `UNSPACED` is letters,
 * marks and digits of scripts written without spaces. `GAP` separates words.
 */
export const GAP = 0;
export const SYMBOL = 1;
export const DIGIT = 2;
export const LOWER = 3;
export const UPPER = 4;
export const UNSPACED = 5;
/** Occurs only in the tables. A mark takes the kind of the character before it. */
const MARK = 6;

const CODE_POINT_BITS = 21;
const CODE_POINT_MASK = (1 << CODE_POINT_BITS) - 1;
const PAGE_SIZE = 256;
/** The scratch memory of longer texts is not kept. */
const LONGEST_KEPT = 1 << 16;

const IGNORABLE = /\p{Default_Ignorable_Code_Point}/gu;
/**
 * Most marks of one character. Normalisation sorts them in quadratic time, and no script needs more. A very long run would
 * fill the stack of the regular expression.
 */
const EXCESS_MARKS = /(\p{M}{30})\p{M}{1,1000}/gu;
const WORD_CHARACTER = /[\p{L}\p{N}\p{M}]/u;
const UNSPACED_SCRIPT = /[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}]/u;

/** The lower case of each code point, and its kind in the higher bits. Pages of 256 are made when first needed. */
const pages = new Array<Uint32Array | undefined>(0x110000 / PAGE_SIZE);
const ascii = makePage(0);

/** The lower-case code points and the kinds of the characters of one text, one entry per character. */
export class Characters {
  /** Number of characters. They start at index 1, so that a word can be padded in place. */
  length = 0;
  points = new Int32Array(1024);
  kinds = new Uint8Array(1024);

  /**
   * Reads a text in NFKC, without default-ignorable code points and without marks beyond the 30th in a row. Lone
   * surrogates separate words, as controls and unassigned code points do.
   */
  read(text: string): void {
    this.#reserve(text.length);
    if (!this.#readAscii(text)) {
      this.#readAny(withoutExcessMarks(text.replace(IGNORABLE, '')).normalize('NFKC'));
    }
    this.points[this.length + 1] = 0;
    this.kinds[this.length + 1] = GAP;
  }

  /** Releases the scratch memory of a long text. */
  release(): void {
    if (this.points.length <= LONGEST_KEPT) return;
    this.points = new Int32Array(1024);
    this.kinds = new Uint8Array(1024);
  }

  /** Reads a text if it is ASCII. Returns whether it is. */
  #readAscii(text: string): boolean {
    const { points, kinds } = this;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 0x7f) return false;
      const entry = ascii[unit]!;
      points[i + 1] = entry & CODE_POINT_MASK;
      kinds[i + 1] = entry >>> CODE_POINT_BITS;
    }
    this.length = text.length;
    return true;
  }

  #readAny(text: string): void {
    this.#reserve(text.length);
    const { points, kinds } = this;
    let last = 0;
    for (let i = 0; i < text.length; i++) {
      const point = text.codePointAt(i)!;
      if (point > 0xffff) i++;
      const entry = entryOf(point);
      const kind = entry >>> CODE_POINT_BITS;
      last++;
      points[last] = entry & CODE_POINT_MASK;
      kinds[last] = kind === MARK ? kinds[last - 1]! : kind;
    }
    this.length = last;
  }

  #reserve(length: number): void {
    if (length + 2 <= this.points.length) return;
    this.points = new Int32Array(2 * length + 2);
    this.kinds = new Uint8Array(2 * length + 2);
  }
}

function withoutExcessMarks(text: string): string {
  const fewer = text.replace(EXCESS_MARKS, '$1');
  return fewer.length === text.length ? text : withoutExcessMarks(fewer);
}

function entryOf(point: number): number {
  const page = (pages[point >>> 8] ??= makePage(point & ~(PAGE_SIZE - 1)));
  return page[point & (PAGE_SIZE - 1)]!;
}

function makePage(first: number): Uint32Array {
  return Uint32Array.from({ length: PAGE_SIZE }, (_, i) => {
    const character = String.fromCodePoint(first + i);
    // The lower case of U+0130 is two characters. The first one, the letter i, is used.
    const lower = character === 'ς' ? 'σ' : character.toLowerCase();
    return (kindOf(character) << CODE_POINT_BITS) | lower.codePointAt(0)!;
  });
}

function kindOf(character: string): number {
  if (!WORD_CHARACTER.test(character)) return /[\p{P}\p{S}]/u.test(character) ? SYMBOL : GAP;
  if (UNSPACED_SCRIPT.test(character)) return UNSPACED;
  if (/\p{M}/u.test(character)) return MARK;
  if (/\p{N}/u.test(character)) return DIGIT;
  return /\p{Lu}/u.test(character) ? UPPER : LOWER;
}
