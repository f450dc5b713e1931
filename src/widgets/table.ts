// Rows and answers as a table in a cell's output: plain HTML without style sheets or scripts, and the same as text.

import type { Answer } from "../train/events.js";
import type { MimeBundle } from "./host.js";
import { findPlace, type Place } from "./hosts.js";
import { escapeXml } from "./svg-text.js";

/** Most rows drawn; the caption says how many there are. */
const ROWS = 50;
/** Longest cell of the text form, in characters. */
const CELL = 60;

/** Kernels that know this symbol call the method of that name for a value's output. */
const jupyterDisplay: unique symbol = Symbol.for("Jupyter.display");

/** A small table. As the last expression of a cell it displays itself; `show` puts it wherever output goes. */
export class Table {
  constructor(
    readonly columns: readonly string[],
    readonly rows: readonly (readonly string[])[],
    readonly caption = "",
  ) {}

  /** Every cell is text: what a model wrote is escaped. */
  [jupyterDisplay](): MimeBundle {
    const head = this.columns.map((name) => `<th scope="col" style="text-align:left">${escapeXml(name)}</th>`).join("");
    const body = this.rows
      .slice(0, ROWS)
      .map((row) => `<tr>${row.map(htmlCell).join("")}</tr>`)
      .join("");
    const said = this.#caption();
    const caption = said === "" ? "" : `<caption>${escapeXml(said)}</caption>`;
    return {
      "text/html": `<table>${caption}<thead><tr>${head}</tr></thead><tbody>${body}</tbody></table>`,
      "text/plain": this.toString(),
    };
  }

  toString(): string {
    const lines = [this.columns, ...this.rows.slice(0, ROWS)].map((row) => row.map(textCell).join(" | "));
    return [this.#caption(), ...lines].filter((line) => line !== "").join("\n");
  }

  show(place: Place = findPlace()): void {
    const bundle = this[jupyterDisplay]();
    if (place.kind === "host") place.host.display(bundle);
    else if (place.kind === "tslab") place.newDisplay().raw("text/html", String(bundle["text/html"]));
    else process.stdout.write(`${this.toString()}\n`);
  }

  #caption(): string {
    const more = this.rows.length > ROWS ? `first ${ROWS} of ${this.rows.length} rows` : "";
    return [this.caption, more].filter((part) => part !== "").join(", ");
  }
}

/** Objects as a table: a column for each field seen, in the order of appearance. */
export function table(objects: readonly object[], caption = ""): Table {
  const columns = [...new Set(objects.flatMap((object) => Object.keys(object)))];
  const rows = objects.map((object) => columns.map((name) => cellText((object as Record<string, unknown>)[name])));
  return new Table(columns, rows, caption);
}

/** Answers of the base and the tuned model side by side. */
export function comparison(answers: readonly Answer[]): Table {
  return new Table(
    ["prompt", "base", "tuned"],
    answers.map(({ prompt, base, tuned }) => [prompt, base, tuned]),
  );
}

/** Show answers before and after training in this cell, or print them in a terminal. */
export function showComparison(answers: readonly Answer[], place: Place = findPlace()): void {
  comparison(answers).show(place);
}

function cellText(value: unknown): string {
  if (value === undefined) return "";
  return typeof value === "string" ? value : (JSON.stringify(value) ?? String(value));
}

function htmlCell(text: string): string {
  return `<td style="text-align:left;white-space:pre-wrap">${escapeXml(text)}</td>`;
}

function textCell(text: string): string {
  const line = [...text.replaceAll(/\s+/g, " ")];
  return line.length <= CELL ? line.join("") : `${line.slice(0, CELL - 1).join("")}…`;
}
