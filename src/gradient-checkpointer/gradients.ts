/**
 * The parts of what a backward function returned.
 *
 * @throws TypeError where there is no gradient of the input.
 */
export function splitGradients(name: string, returned: unknown): { gradInput: unknown; gradParams: unknown } {
  const isPair =
    typeof returned === 'object' && returned !== null && ('gradInput' in returned || 'gradParams' in returned);
  const { gradInput, gradParams } = (isPair ? returned : { gradInput: returned }) as Record<string, unknown>;
  if (gradInput === undefined || gradInput === null) {
    throw new TypeError(`${name} must return the gradient of its input, got ${gradInput}`);
  }
  return { gradInput, gradParams };
}
