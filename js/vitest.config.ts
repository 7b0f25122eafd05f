import { defineConfig } from "vitest/config";

export default defineConfig({
  define: {
    __CSS__: '".ocnb{}"',
    __ASKS_CSS__: '".ocnb-ask{}"',
    __TIMELINE_CSS__: '".ocnb-timeline{}"',
    __LEVEL_CSS__: '".ocnb-picker{}"',
    __POOL_CSS__: '".ocnb-pool{}"',
    __LANES_CSS__: '".ocnb-lanes{}"',
    __HASH__: '"test"',
  },
  test: { environment: "happy-dom", include: ["test/**/*.test.ts"] },
});
