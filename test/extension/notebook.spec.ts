// The first tutorial as a reader meets it: run all, watch, pause, reload in mid-run, resume, stop. Real kernel, real engine.

import { cpSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@playwright/test";
import {
  isWhole,
  keepPicture,
  openNotebook,
  plotted,
  readNotebook,
  root,
  start,
  whenIdle,
  whenOpen,
  work,
} from "./lab.js";

const name = readdirSync(join(root, "notebooks")).find((file) => /^01-.*\.ipynb$/.test(file));

test("notebook 01 trains before one's eyes, survives a reload in mid-run, and stops when asked", async ({ page }) => {
  test.skip(name === undefined, "there is no notebooks/01-*.ipynb");
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  cpSync(join(root, "notebooks"), join(work, "notebooks"), { recursive: true });
  const path = `notebooks/${name}`;
  await openNotebook(page, path);
  await whenIdle(page);
  await start(page, "notebook:run-all-cells");

  const run = page.locator(".tb-run").first();
  await expect(run.locator(".tb-status")).toHaveText("running", { timeout: 120_000 });
  await run.locator(".tb-chart").scrollIntoViewIfNeeded();
  await expect.poll(async () => (await plotted(page)).length, { timeout: 60_000 }).toBeGreaterThan(2);
  const early = (await plotted(page)).length;
  await expect.poll(async () => (await plotted(page)).length, { timeout: 60_000 }).toBeGreaterThan(early);
  await expect(
    page
      .locator(".jp-CodeCell")
      .filter({ has: page.locator(".tb-run") })
      .locator(".jp-InputPrompt"),
  ).toContainText("[*]");
  await keepPicture(page, "notebook-01-running");

  await run.getByRole("button", { name: "Pause" }).click();
  await expect(run.locator(".tb-status")).toHaveText("paused");
  await expect // the extension has the notebook saved as soon as a run is live in it
    .poll(() => readNotebook(path).cells.some(({ outputs }) => outputs?.some(({ data }) => data?.["image/svg+xml"])))
    .toBe(true);
  await page.reload();
  await whenOpen(page);
  await run.locator(".tb-chart").scrollIntoViewIfNeeded();
  await expect.poll(async () => (await plotted(page)).length).toBeGreaterThan(early);
  const again = await plotted(page);
  expect(isWhole(again)).toBe(true);
  await expect(run.locator(".tb-status")).toHaveText("paused");

  await run.getByRole("button", { name: "Resume" }).click();
  await expect.poll(async () => (await plotted(page)).length, { timeout: 60_000 }).toBeGreaterThan(again.length);
  expect(isWhole(await plotted(page))).toBe(true);
  await keepPicture(page, "notebook-01-reloaded");
  await run.getByRole("button", { name: "Stop" }).click();
  await expect(run.locator(".tb-status")).toHaveText("stopped");
  await keepPicture(page, "notebook-01-stopped");
  expect(errors).toEqual([]);
});
