// The committed tutor passes its examination on the cpu device.

import path from "node:path";
import { expect, test } from "vitest";
import { examine } from "../../notebooks/models/make/exam.js";
import { heldOutExercises } from "../../notebooks/models/make/world/world.js";
import { loadModel } from "../../src/model/index.js";

const folder = path.resolve(import.meta.dirname, "../../notebooks/models/tiny-tutor");

test.each(["bf16", "f32"] as const)(
  "tiny-tutor answers at least 95 % of held-out questions exactly in %s",
  async (dtype) => {
    const tutor = await loadModel(folder, { device: "cpu", dtype });
    const { asked, right, marks } = await examine(tutor, heldOutExercises(50, 7));
    tutor.dispose();
    expect(asked).toBeGreaterThan(600);
    expect(right / asked).toBeGreaterThanOrEqual(0.95);
    const worst = marks.filter((mark) => mark.right < 0.6 * mark.asked);
    expect(worst).toEqual([]);
  },
  240_000,
);
