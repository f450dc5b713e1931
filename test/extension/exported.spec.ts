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
  // nbconvert prefers the SVG and embeds it as an image, in which nothing can run
  const picture = page.locator("img[src^='data:image/svg+xml']");
  await expect(picture).toBeVisible();
  const shown = await picture.evaluate((node) => {
    const image = node as HTMLImageElement;
    return { width: image.naturalWidth, height: image.naturalHeight, source: image.src };
  });
  expect(shown.width).toBe(760); // 0 for an image that a browser cannot read
  expect(shown.height).toBeGreaterThan(500);
  const svg = Buffer.from(shown.source.split(",")[1]!, "base64").toString("utf8");
  expect(svg).toContain('aria-label="Run 2026-11-zh finished: loss 2.738 -&gt; 0.424 over 120 updates');
  expect(svg).toContain("天空 &lt;img src=x");
  expect(await page.evaluate(() => (globalThis as { hacked?: number }).hacked)).toBeUndefined();
  await keepPicture(page, "exported");
});
