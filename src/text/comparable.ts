/**
 * A form that is equal for texts that differ only in form: Unicode's NFKC, without invisible code points, in lower case,
 * with each run of white space as one space.
 */
export function comparable(text: string): string {
  return text
    .normalize('NFKC')
    .replaceAll(/\p{Default_Ignorable_Code_Point}/gu, '')
    .toLowerCase()
    .replaceAll(/\s+/gu, ' ')
    .trim();
}
