// The small real model and the rows outside the repository that several tests of this folder use.

import { existsSync, readFileSync } from "node:fs";
import path from "node:path";

const shared = process.env["TUNEBOOK_SHARED"] ?? path.resolve(import.meta.dirname, "../../../shared");
export const stories = path.join(shared, "assets/models/stories260k");
export const alpacaRows = path.join(shared, "assets/datasets/alpaca_en_demo.json");
export const greedyFixture = path.join(shared, "assets/fixtures/stories260k_greedy.json");

/** Why tests of the real model are skipped here; undefined where they run. */
export const absent = [stories, alpacaRows, greedyFixture].every((file) => existsSync(file))
  ? undefined
  : "needs ../shared";

export function readJson<T>(file: string | URL): T {
  return JSON.parse(readFileSync(file, "utf8")) as T;
}
