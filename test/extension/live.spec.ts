// A run in the real kernel, followed live: points while the cell runs, controls, a reload, a second tab, a restart.
// The run is scripted in a cell, ten updates a second, so that what is on the screen can be known to the point.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, type Locator, type Page, test } from "@playwright/test";
import {
  command,
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

const fixture = readFileSync(join(root, "test", "extension", "fixtures", "run.ipynb"), "utf8");

/** The fixture under a name of its own, with a run of that name and so many updates. */
function notebook(name: string, updates: number): string {
  const file = `${name}.ipynb`;
  writeFileSync(join(work, file), fixture.replace('\\"RUN\\", 3000', `\\"${name}\\", ${updates}`));
  return file;
}

/** Start all cells and wait until the run's output is live. */
async function runAll(page: Page): Promise<Locator> {
  await whenIdle(page);
  await start(page, "notebook:run-all-cells");
  const run = page.locator(".tb-run");
  await expect(run.locator(".tb-status")).toHaveText("running", { timeout: 60_000 });
  return run;
}

/** The prompt of a code cell: [*] while it runs. */
const prompt = (page: Page, cell: number) => page.locator(".jp-CodeCell").nth(cell).locator(".jp-InputPrompt").first();

test("points arrive while the cell runs, the learning rate changes, and Stop ends the run", async ({ page }) => {
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await openNotebook(page, notebook("controls", 3000));
  const run = await runAll(page);

  await expect.poll(async () => (await plotted(page)).length).toBeGreaterThan(10);
  const early = (await plotted(page)).length;
  await expect.poll(async () => (await plotted(page)).length).toBeGreaterThan(early + 10);
  expect(isWhole(await plotted(page))).toBe(true);
  await expect(prompt(page, 1)).toContainText("[*]");

  await run.getByLabel("Learning rate").fill("many");
  await run.getByRole("button", { name: "Apply" }).click();
  await expect(run.locator(".tb-said")).toHaveText("A learning rate is a number above 0, such as 1e-4.");
  await run.getByLabel("Learning rate").fill("1e-4");
  await page.keyboard.press("Enter");
  await expect(run.locator(".tb-said")).toContainText("Learning rate 1e-4 after update");
  await expect(run.locator(".annotation-text")).toContainText(["rate 1e-4"]);

  await run.getByRole("button", { name: "Pause" }).click();
  await expect(run.locator(".tb-status")).toHaveText("paused");
  await page.waitForTimeout(400);
  const paused = (await plotted(page)).length;
  await page.waitForTimeout(800);
  expect((await plotted(page)).length).toBe(paused);
  await run.getByRole("button", { name: "Resume" }).click();
  await expect(run.locator(".tb-status")).toHaveText("running");
  await run.getByRole("button", { name: "Save" }).click();
  await expect(run.locator(".tb-header")).toContainText("checkpoint saved at update");
  await expect.poll(async () => (await plotted(page)).length).toBeGreaterThan(paused);
  await keepPicture(page, "live");

  await run.getByRole("button", { name: "Stop" }).click();
  await expect(run.locator(".tb-status")).toHaveText("stopped");
  await expect(run.getByRole("button", { name: "Stop" })).toBeDisabled();
  await expect(page.locator(".jp-CodeCell").nth(2)).toContainText("next cell set 0.0001 pause resume save stop");
  expect(isWhole(await plotted(page))).toBe(true);
  expect(errors).toEqual([]);
});

test("a reload in mid-run shows the whole curve again, and the file ends with the last picture", async ({ page }) => {
  await openNotebook(page, notebook("reload", 3000));
  await runAll(page);
  await expect.poll(async () => (await plotted(page)).length).toBeGreaterThan(20);
  const before = (await plotted(page)).length;
  await expect // the extension has asked for the notebook to be saved
    .poll(() => readNotebook("reload.ipynb").cells[1]!.outputs!.length)
    .toBe(1);
  await page.reload();
  await whenOpen(page);
  const run = page.locator(".tb-run");
  await run.locator(".tb-chart").scrollIntoViewIfNeeded();
  await expect.poll(async () => (await plotted(page)).length).toBeGreaterThan(before);
  const [after, status] = [await plotted(page), await run.locator(".tb-status").textContent()];
  expect(isWhole(after)).toBe(true);
  expect(status).toBe("running");
  await expect(run.getByRole("button", { name: "Stop" })).toBeEnabled();
  await keepPicture(page, "reloaded");

  await run.getByRole("button", { name: "Stop" }).click();
  await expect(run.locator(".tb-status")).toHaveText("stopped");
  const last = Number(/update ([\d,]+) of/.exec((await run.locator(".tb-where").textContent())!)![1]!.replace(",", ""));
  await expect.poll(async () => (await plotted(page)).length).toBe(last);
  await page.waitForTimeout(5000); // the last picture is fetched three seconds after the end
  await command(page, "docmanager:save");
  const data = readNotebook("reload.ipynb").cells[1]!.outputs![0]!.data!;
  expect([data["text/plain"]].flat().join("")).toContain(`was stopped at update ${last} of 3000: loss`);
  expect(data["application/vnd.tunebook.run.v1+json"]).toMatchObject({ state: { status: "stopped", update: last } });
  expect(Object.keys(data)).toContain("image/png");
});

test("a second tab sees the same run, and what one does shows in the other", async ({ page, context }) => {
  await openNotebook(page, notebook("tabs", 3000));
  await runAll(page);
  await expect.poll(() => readNotebook("tabs.ipynb").cells[1]!.outputs!.length).toBe(1);
  const other = await context.newPage();
  await openNotebook(other, "tabs.ipynb");
  await other.locator(".tb-chart").scrollIntoViewIfNeeded();
  await expect.poll(async () => (await plotted(other)).length).toBeGreaterThan(10);
  expect(isWhole(await plotted(other))).toBe(true);
  await other.locator(".tb-run").getByRole("button", { name: "Stop" }).click();
  await page.bringToFront();
  await expect(page.locator(".tb-run .tb-status")).toHaveText("stopped");
});

test("a kernel that is restarted leaves the last state and says so", async ({ page }) => {
  await openNotebook(page, notebook("restart", 3000));
  const run = await runAll(page);
  await expect.poll(async () => (await plotted(page)).length).toBeGreaterThan(10);
  await start(page, "kernelmenu:restart");
  await page.locator(".jp-Dialog").getByRole("button", { name: "Confirm Kernel Restart" }).click();
  await expect(run.locator(".tb-notice")).toHaveText("Kernel gone: last state shown.");
  await expect(run.getByRole("button", { name: "Stop" })).toBeDisabled();
  expect((await plotted(page)).length).toBeGreaterThan(10);
});
