import { createRequire } from 'node:module';
import { kernelBackend } from '../index.js';

/** What must be equal in coordinator and workers, because other kernels give other bits. */
export interface Requirements {
  /** Version of this package. */
  version: string;
  backend: 'simd' | 'scalar';
}

const require = createRequire(import.meta.url);
const PACKAGE = 'microlora-training-utils';

export const version: string = (require(`${PACKAGE}/package.json`) as { version: string }).version;

/** The path of the core, for threads. */
export const corePath = (): string => require.resolve(PACKAGE);

export function ownRequirements(): Requirements {
  return { version, backend: kernelBackend() };
}
