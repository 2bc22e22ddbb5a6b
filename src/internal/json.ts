import { describe } from './validate.js';

/** The JSON of a value, to compare and to show. A value without JSON, such as an object that holds itself, is described. */
export function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? describe(value);
  } catch {
    return describe(value);
  }
}

/** JSON, shortened for a message. */
export function shortened(json: string): string {
  return json.length > 120 ? `${json.slice(0, 120)}…` : json;
}
