export function warn(message: string, name: string): void {
  // A test may have taken it away.
  if (typeof process !== 'undefined') process.emitWarning?.(message, name);
}
