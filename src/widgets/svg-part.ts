// The paper every part of the picture is drawn on: sizes, colours, and the one way to put text on it.

import { escapeXml, isWide } from "./svg-text.js";

export const WIDTH = 760;
export const MARGIN = 24;

export const ink = { text: "#1f2328", muted: "#59636e", line: "#d0d7de", grid: "#e9ecef", card: "#ffffff" } as const;
export const fonts =
  "system-ui, 'Segoe UI', 'Noto Sans', 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif";

/** resvg takes the first family it has and then any font with the letter, so Chinese text asks for its own family first. */
const wideFonts = "'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', system-ui, sans-serif";

/** One part of the picture: its markup, drawn from y = 0 down, and how tall it is in pixels. */
export interface Part {
  readonly markup: string;
  readonly height: number;
}

/** Text at a place; every word of the picture goes through here. */
export function label(
  x: number,
  y: number,
  text: string,
  { size = 13, fill = ink.text as string, anchor = "start", weight = 400 } = {},
): string {
  return (
    `<text x="${round(x)}" y="${round(y)}" font-size="${size}" fill="${fill}" text-anchor="${anchor}"` +
    `${weight === 400 ? "" : ` font-weight="${weight}"`}${isWide(text) ? ` font-family="${wideFonts}"` : ""}>${escapeXml(text)}</text>`
  );
}

/** A pixel position with at most two decimals. */
export function round(value: number): number {
  return Math.round(value * 100) / 100;
}
