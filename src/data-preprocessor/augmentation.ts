import type { Random } from '../internal/random.js';

/** The original's text variations. Each draws from `random` in the original's order. */

const SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  write: ['create', 'make', 'generate'],
  function: ['method', 'procedure', 'routine'],
  code: ['program', 'script', 'implementation'],
  help: ['assist', 'aid', 'support'],
  explain: ['describe', 'clarify', 'elaborate'],
};

const FILLERS = ['please', 'now', 'just', 'simply'] as const;

/** Replaces every occurrence of the first known word. It draws only if there is one. */
export function replaceSynonym(text: string, random: Random): string {
  const lowerCased = text.toLowerCase();
  const known = Object.keys(SYNONYMS).find(word => lowerCased.includes(word));
  return known === undefined ? text : text.replace(new RegExp(known, 'gi'), pick(SYNONYMS[known]!, random));
}

/** Puts a filler word before some word. */
export function insertFiller(text: string, random: Random): string {
  const words = text.split(' ');
  const filler = pick(FILLERS, random);
  words.splice(Math.floor(random() * words.length), 0, filler);
  return words.join(' ');
}

/** Lower case, capitalised or upper case. */
export function varyCase(text: string, random: Random): string {
  const capitalised = text.charAt(0).toUpperCase() + text.slice(1).toLowerCase();
  return pick([text.toLowerCase(), capitalised, text.toUpperCase()], random);
}

function pick<T>(choices: readonly T[], random: Random): T {
  return choices[Math.floor(random() * choices.length)]!;
}
