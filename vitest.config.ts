// Which tests there are and how many run at once. Slow suites and those that start a kernel or a Python run one by one.

import { defineConfig } from "vitest/config";

/** A suite that trains a model, starts a Jupyter kernel, runs Python or measures time: alone, so that two cores suffice. */
const alone = [
  "test/**/*.slow.test.ts",
  "test/kernel/**/*.test.ts",
  "test/notebooks/**/*.test.ts",
  "test/setup/notebook.test.ts",
];

export default defineConfig({
  test: {
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: { name: "quick", include: ["test/**/*.test.ts"], exclude: alone, sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        test: { name: "alone", include: alone, fileParallelism: false, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
