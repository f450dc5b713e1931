// JupyterLab driven as a user drives it: open a notebook, run cells, read an output, keep a screenshot.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, type Locator, type Page } from "@playwright/test";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const artifacts = join(root, "artifacts", "browser");
/** The folder JupyterLab serves; below the checkout, so that cells find the package `tunebook`. */
export const work = join(artifacts, "work");
/** Its own for each run of the tests; workers inherit the choice of the process that starts the server. */
export const port = Number((process.env["TUNEBOOK_LAB_PORT"] ??= String(20_000 + (process.pid % 20_000))));
export const token = "browser-tests";

/** What `--expose-app-in-browser` leaves in the page. */
interface App {
  readonly restored: Promise<void>;
  readonly shell: {
    readonly currentWidget: {
      readonly sessionContext: {
        readonly ready: Promise<void>;
        readonly session: { readonly kernel: { readonly info: Promise<unknown> } };
      };
    };
  };
  readonly commands: { execute(id: string, args?: object): Promise<unknown> };
}

export interface Cell {
  readonly source: string;
  readonly outputs?: readonly object[];
}

/** A notebook file in the served folder. */
export function writeNotebook(name: string, cells: readonly Cell[], kernel = "tunebook"): string {
  const notebook = {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: { kernelspec: { name: kernel, display_name: kernel, language: "typescript" } },
    cells: cells.map(({ source, outputs = [] }, i) => ({
      cell_type: "code",
      id: `cell-${i}`,
      metadata: {},
      execution_count: null,
      source,
      outputs,
    })),
  };
  mkdirSync(work, { recursive: true });
  writeFileSync(join(work, name), JSON.stringify(notebook));
  return name;
}

export function readNotebook(name: string): { cells: { outputs?: { data?: Record<string, unknown> }[] }[] } {
  return JSON.parse(readFileSync(join(work, name), "utf8"));
}

/** Open the notebook alone in a fresh workspace and wait until it can be used. */
export async function openNotebook(page: Page, name: string): Promise<Locator> {
  await page.goto(`http://127.0.0.1:${port}/lab/tree/${name}?token=${token}&reset`);
  return whenOpen(page);
}

export async function whenOpen(page: Page): Promise<Locator> {
  const panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)");
  await panel.locator(".jp-Cell").first().waitFor();
  await page.evaluate(() => (globalThis as unknown as { jupyterapp: App }).jupyterapp.restored);
  return panel;
}

/** Execute a command of JupyterLab and wait for its end. */
export async function command(page: Page, id: string, args: object = {}): Promise<void> {
  await page.evaluate(
    async ([name, given]) => {
      await (globalThis as unknown as { jupyterapp: App }).jupyterapp.commands.execute(name, given);
    },
    [id, args] as const,
  );
}

/** Wait until the notebook's kernel has answered; a cell that is run before is dropped in silence. */
export async function whenIdle(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const { sessionContext } = (globalThis as unknown as { jupyterapp: App }).jupyterapp.shell.currentWidget;
    await sessionContext.ready;
    await sessionContext.session.kernel.info;
  });
  await expect(page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]')).toBeVisible();
}

/** Execute a command that takes as long as a cell runs, and do not wait for it. */
export async function start(page: Page, id: string): Promise<void> {
  await page.evaluate((name) => {
    void (globalThis as unknown as { jupyterapp: App }).jupyterapp.commands.execute(name);
  }, id);
}

export async function useTheme(page: Page, name: "JupyterLab Light" | "JupyterLab Dark"): Promise<void> {
  await command(page, "apputils:change-theme", { theme: name });
  const light = String(name === "JupyterLab Light");
  await expect(page.locator("body")).toHaveAttribute("data-jp-theme-light", light);
}

/** Picture of the first run output and what is around it, in artifacts/browser. */
export async function keepPicture(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(artifacts, `${name}.png`) });
}

/** Updates that the plot itself holds, read from plotly's own data. */
export async function plotted(page: Page): Promise<number[]> {
  return page.evaluate(() => {
    const plot = document.querySelector(".tb-plot") as (HTMLElement & { data?: { x: number[] }[] }) | null;
    return Array.from(plot?.data?.[0]?.x ?? []);
  });
}

/** Every update from the first on. */
export function isWhole(updates: readonly number[]): boolean {
  return updates.every((update, i) => update === i + 1);
}
