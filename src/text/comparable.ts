/**
 * What two texts that differ in form alone have in common: Unicode's NFKC, without invisible code points, in lower case
 * and with each run of white space as one space.
 */
export function comparable(text: string): string {
  return text
    .normalize('NFKC')
    .replaceAll(/\p{Default_Ignorable_Code_Point}/gu, '')
    .toLowerCase()
    .replaceAll(/\s+/gu, ' ')
    .trim();
}
