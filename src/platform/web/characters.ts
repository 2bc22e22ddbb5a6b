/** One character per byte. */
export function charactersOf(bytes: Uint8Array): string {
  let characters = '';
  // In parts, as a call may not have arguments without end.
  for (let i = 0; i < bytes.length; i += 8192) characters += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return characters;
}
