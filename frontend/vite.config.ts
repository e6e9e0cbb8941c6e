import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const backend = process.env.BASE_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    target: "es2022",
    // font-src 'self' refuses data: fonts, so nothing may be inlined into the style sheet.
    assetsInlineLimit: 0,
    manifest: "manifest.json",
    sourcemap: false,
    chunkSizeWarningLimit: 700,
  },
  server: {
    host: "127.0.0.1",
    fs: { allow: [".."] }, // tests read the server's schemas
    proxy: {
      "/api": { target: backend },
      "/health": { target: backend },
      "/ws": { target: backend, ws: true },
    },
  },
  test: {
    environment: "jsdom",
    include: ["src/**/*.test.{ts,tsx}", "scripts/*.test.mjs"],
    testTimeout: 60_000, // a machine that is busy with other things is no failure
    setupFiles: ["src/test-setup.ts"],
  },
});
