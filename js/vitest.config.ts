import { defineConfig } from "vitest/config";

export default defineConfig({
  define: {
    __CSS__: '".ocnb{}"',
    __TIMELINE_CSS__: '".ocnb-timeline{}"',
    __LEVEL_CSS__: '".ocnb-picker{}"',
    __HASH__: '"test"',
  },
  test: { environment: "happy-dom", include: ["test/**/*.test.ts"] },
});
