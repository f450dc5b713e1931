import { expect, test } from "vitest";
import { cpuSpeedAt } from "../../src/engine/cpu-speed.js";

test("the speed of the cpu rises with the rows of a product, up to a whole", () => {
  const speeds = Array.from({ length: 700 }, (_, i) => cpuSpeedAt(i + 1));
  expect(speeds.every((speed, i) => speed > 0 && speed <= 1 && (i === 0 || speed >= (speeds[i - 1] as number)))).toBe(
    true,
  );
  expect([8, 12, 64, 512, 100_000].map(cpuSpeedAt)).toEqual([0.35, expect.closeTo(0.465), 0.9, 1, 1]);
});
