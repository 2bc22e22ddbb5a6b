/** What `GradientCheckpointer.backward` returns. */
export interface CallGradients<Gradient, Params = unknown> {
  /** Gradient with respect to the input of the first call. */
  gradInputs: Gradient;
  /** The `gradParams` of every call, first call first. `undefined` for a call that returned none. */
  gradParams: (Params | undefined)[];
}

/**
 * Splits what the backward function of a call or a step returned.
 *
 * @param name What returned it, for messages.
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
