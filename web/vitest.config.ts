import { defineConfig } from 'vitest/config';

// a file of its own: the build must not need Vitest, which is not installed where nobody tests
export default defineConfig({ test: { include: ['src/**/*.test.ts', 'dev/**/*.test.mjs'], environment: 'node' } });
