/** Names of options in other libraries, in lower case and without punctuation. */
const SYNONYMS: ReadonlyMap<string, string> = new Map([
  ['learningrate', 'lr'],
  ['endlr', 'minLR'],
  ['etamin', 'minLR'],
  ['finallr', 'minLR'],
  ['clipnorm', 'maxGradNorm'],
  ['gradclip', 'maxGradNorm'],
  ['maxnorm', 'maxGradNorm'],
  ['randomstate', 'seed'],
  ['tau', 'temperature'],
  ['t0', 'restartPeriod'],
  ['tmult', 'restartMultiplier'],
]);

/** A name in quotes for a message. */
export function shown(name: string): string {
  return JSON.stringify(name.length > 40 ? `${name.slice(0, 40)}…` : name);
}

/**
 * The known name that is most likely meant. It is the one that the name is a synonym of. Otherwise, it is the one that
 * takes the fewest edits, if it starts as the name does, or the edits are at most 3 in 10 of the letters of both names.
 */
export function nearestOf(name: string, known: readonly string[]): string | undefined {
  if (name === '' || name.length > 40) return undefined;
  const letters = name.toLowerCase();
  const synonym = SYNONYMS.get(letters.replaceAll(/[^a-z0-9]/g, ''));
  if (synonym !== undefined && known.includes(synonym)) return synonym;
  let nearest: string | undefined;
  let least = Infinity;
  for (const candidate of known) {
    const others = candidate.toLowerCase();
    const edits = editsBetween(letters, others);
    const isStart = others.startsWith(letters) || letters.startsWith(others);
    const isNear = isStart || edits <= 0.3 * (letters.length + others.length);
    if (edits >= least || !isNear) continue;
    nearest = candidate;
    least = edits;
  }
  return nearest;
}

/** Number of letters to add or remove to turn one word into the other. */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(a[i - 1] === b[j - 1] ? row[j - 1]! : 1 + Math.min(row[j]!, next[j - 1]!));
    }
    row = next;
  }
  return row[b.length]!;
}
