// Notebooks opened from disk: what the file holds is drawn without a kernel, in both themes, and nothing in it is executed.

import { AxeBuilder } from "@axe-core/playwright";
import { expect, test } from "@playwright/test";
import { bundleWithPng } from "../../src/widgets/mime.js";
import { keepPicture, openNotebook, port, token, useTheme, writeNotebook } from "./lab.js";
import { story } from "./story.js";

const hostile = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>";

async function savedRun(name: string, ended: boolean, failure = ""): Promise<string> {
  const { data, metadata } = await bundleWithPng(story({ ended, answer: hostile, failure }));
  return writeNotebook(
    name,
    [{ source: "await show(run)", outputs: [{ output_type: "display_data", data, metadata }] }],
    "python3",
  );
}

test("a finished run is drawn from the file, in light and dark, and can be read by a screen reader", async ({
  page,
}) => {
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await openNotebook(page, await savedRun("finished.ipynb", true));
  const run = page.locator(".tb-run");
  await expect(run.locator(".tb-status")).toHaveText("finished");
  await expect(run.locator(".tb-notice")).toHaveText("");
  await expect(run.locator(".js-plotly-plot .scatterlayer .trace")).toHaveCount(2);
  await expect(run.locator(".tb-chart")).toHaveAttribute("aria-label", /loss 2\.\d+ -> 0\.\d+ over 120 updates/);
  await expect(run.getByRole("meter", { name: "activations" })).toHaveAttribute(
    "aria-valuetext",
    /MiB of .* MiB planned/,
  );
  for (const name of ["Pause", "Stop", "Save", "Apply"]) await expect(run.getByRole("button", { name })).toBeDisabled();
  await expect(run.getByLabel("Learning rate")).toBeDisabled();

  const scan = async () => (await new AxeBuilder({ page }).include(".tb-run").analyze()).violations;
  expect(await scan()).toEqual([]);
  await keepPicture(page, "saved-light");
  await useTheme(page, "JupyterLab Dark");
  await page.waitForTimeout(500); // the chart is redrawn within a fifth of a second of a theme's change
  expect(await scan()).toEqual([]);
  await keepPicture(page, "saved-dark");
  await useTheme(page, "JupyterLab Light");
  expect(errors).toEqual([]);
});

test("what a model wrote is text in the page", async ({ page }) => {
  await openNotebook(page, await savedRun("hostile.ipynb", true));
  const answer = page.locator(".tb-answers td").nth(1);
  await expect(answer).toContainText("<script>window.hacked = 1</script>");
  expect(await answer.locator("*").count()).toBe(0);
  expect(await page.evaluate(() => (globalThis as { hacked?: number }).hacked)).toBeUndefined();
});

test("the numbers behind the chart open by keyboard", async ({ page }) => {
  await openNotebook(page, await savedRun("numbers.ipynb", true));
  const numbers = page.locator(".tb-numbers");
  await numbers.locator("summary").focus();
  await page.keyboard.press("Enter");
  await expect(numbers.locator("tbody tr")).toHaveCount(12);
  await expect(numbers.locator("tbody tr").last().locator("td").first()).toHaveText("120");
});

test("a run that was going when the file was saved says that its kernel is gone", async ({ page }) => {
  await openNotebook(page, await savedRun("gone.ipynb", false));
  const run = page.locator(".tb-run");
  await expect(run.locator(".tb-notice")).toHaveText("Kernel gone: last state shown.");
  await expect(run.locator(".tb-status")).toHaveText("running");
  await expect(run.getByRole("button", { name: "Stop" })).toBeDisabled();
});

test("a run that failed says why, in full", async ({ page }) => {
  const why = `the loss is NaN at update 120: ${"word ".repeat(40)}${hostile}`;
  await openNotebook(page, await savedRun("failed.ipynb", true, why));
  const alert = page.locator(".tb-run").getByRole("alert");
  await expect(alert).toContainText("the loss is NaN at update 120");
  await expect(alert).toContainText("window.hacked = 2");
  expect(await alert.locator("*").count()).toBe(0);
});

test("the chart has its height before it is loaded, and nothing moves when it comes", async ({ page }) => {
  await page.route("**/tunebook-extension/static/*.js*", async (route) => {
    const response = await route.fetch();
    // plotly's chunk is the only one above a megabyte: hold it back
    if ((await response.body()).length > 1_000_000) await new Promise((resolve) => setTimeout(resolve, 3000));
    await route.fulfill({ response });
  });
  await openNotebook(page, await savedRun("height.ipynb", true));
  const run = page.locator(".tb-run");
  await run.waitFor();
  expect(await run.locator(".js-plotly-plot").count()).toBe(0);
  const before = await run.boundingBox();
  await run.locator(".js-plotly-plot .trace").first().waitFor();
  expect((await run.boundingBox())!.height).toBe(before!.height);
});

test("Notebook 7 draws the same output", async ({ page }) => {
  const name = await savedRun("classic.ipynb", true);
  await page.goto(`http://127.0.0.1:${port}/notebooks/${name}?token=${token}`);
  await expect(page.locator(".tb-run .tb-status")).toHaveText("finished");
  await expect(page.locator(".tb-run .js-plotly-plot .scatterlayer .trace")).toHaveCount(2);
  await keepPicture(page, "notebook-7");
});
