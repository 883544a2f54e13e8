import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// Addresses in the page are relative to its <base>, which the server sets: the console works below any prefix.
export default defineConfig({
  base: "./",
  plugins: [react()],
  html: { cspNonce: "__NONCE__" },
  build: { modulePreload: { polyfill: false }, assetsInlineLimit: 0, chunkSizeWarningLimit: 1000 },
  test: {
    maxWorkers: 2,
    projects: [
      { extends: true, test: { name: "unit", include: ["src/**/*.test.ts"] } },
      {
        extends: true,
        // One server and one browser for all: the tests take tenants of their own. A page that a busy machine starves for half a
        // minute gets one more try, which the report shows.
        test: { name: "browser", retry: 1, include: ["e2e/**/*.test.ts"], globalSetup: "e2e/setup.ts", testTimeout: 120_000, hookTimeout: 120_000, expect: { poll: { timeout: 30_000 } } },
      },
      { extends: true, test: { name: "pictures", include: ["e2e/pictures.ts"], globalSetup: "e2e/setup.ts", hookTimeout: 120_000 } },
      { extends: true, test: { name: "times", include: ["e2e/times.ts"], globalSetup: "e2e/setup.ts", hookTimeout: 120_000 } },
    ],
  },
});
