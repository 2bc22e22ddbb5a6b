import { useKernelBackend } from '../../src/kernels/index.js';

useKernelBackend(process.env['KERNEL_BACKEND'] as 'simd' | 'scalar');
