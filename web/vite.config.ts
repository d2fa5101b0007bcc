import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// `npm run dev` shows the explorer against a running platform (`./ams up`) or against `npm run mock`
const backend = process.env.AMS_DEV_BACKEND ?? 'http://127.0.0.1:8091';

export default defineConfig({
  plugins: [react()],
  build: {
    target: 'es2023',
    sourcemap: false,
    // fonts stay files of their own: inlined ones would be fetched even where the system has the glyphs
    assetsInlineLimit: 0,
  },
  server: {
    port: 5173,
    proxy: {
      '/api': { target: backend, ws: true },
      '/sdk': { target: backend },
    },
  },
});
