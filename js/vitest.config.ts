import { defineConfig } from "vitest/config";

export default defineConfig({
  define: { __CSS__: '".ocnb{}"', __HASH__: '"test"' },
  test: { environment: "happy-dom", include: ["test/**/*.test.ts"] },
});
