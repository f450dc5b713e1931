// A saved notebook on its way to people without a kernel: nbconvert's HTML shows the picture.

import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "@playwright/test";
import { bundleWithPng } from "../../src/widgets/mime.js";
import { artifacts, keepPicture, root, work, writeNotebook } from "./lab.js";
import { story } from "./story.js";

test("the HTML of a saved notebook shows the picture, and what a model wrote is text there too", async ({ page }) => {
  const { data, metadata } = await bundleWithPng(story({ answer: "天空 <img src=x onerror='window.hacked = 1'>" }));
  const name = writeNotebook("export.ipynb", [
    { source: "await show(run)", outputs: [{ output_type: "display_data", data, metadata }] },
  ]);
  const folder = join(artifacts, "exported");
  mkdirSync(folder, { recursive: true });
  const nbconvert = ["nbconvert", "--to", "html", "--output-dir", folder, join(work, name)];
  execFileSync(join(root, ".venv", "bin", "jupyter"), nbconvert, { stdio: "pipe" });
  await page.route(/^https?:/, (route) => route.abort()); // what it shows, it shows without a network
  await page.goto(pathToFileURL(join(folder, "export.html")).href);
  const picture = page.locator("svg[role=img]");
  await expect(picture).toHaveAttribute(
    "aria-label",
    /^Run 2026-11-zh finished: loss 2\.738 -> 0\.424 over 120 updates/,
  );
  const box = (await picture.boundingBox())!;
  expect([box.width, box.height > 500]).toEqual([760, true]);
  await expect(picture.locator("text").filter({ hasText: "<img src=x" })).toBeVisible();
  expect(await page.evaluate(() => (globalThis as { hacked?: number }).hacked)).toBeUndefined();
  await keepPicture(page, "exported");
});
