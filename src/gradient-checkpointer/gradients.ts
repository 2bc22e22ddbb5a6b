/**
 * The parts of what a backward function returned.
 *
 * @throws TypeError where there is no gradient of the input.
 */
export function splitGradients(name: string, returned: unknown): { gradInputs: unknown; gradParams: unknown } {
  const isPair =
    typeof returned === 'object' && returned !== null && ('gradInputs' in returned || 'gradParams' in returned);
  const { gradInputs, gradParams } = (isPair ? returned : { gradInputs: returned }) as Record<string, unknown>;
  if (gradInputs === undefined || gradInputs === null) {
    throw new TypeError(`${name} must return the gradient of its input, got ${gradInputs}`);
  }
  return { gradInputs, gradParams };
}
