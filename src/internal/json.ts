import { describe } from './validate.js';

/** A value to compare and to show: its JSON, or in a few words what has none, as an object that holds itself. */
export function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? describe(value);
  } catch {
    return describe(value);
  }
}

/** JSON from anywhere, short enough for a message. */
export function shortened(json: string): string {
  return json.length > 120 ? `${json.slice(0, 120)}…` : json;
}
