import { useKernelBackend } from '../../src/kernel-backend.js';

useKernelBackend(process.env['KERNEL_BACKEND'] as 'simd' | 'scalar');
