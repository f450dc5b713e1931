// Text inside a drawing: escaped so that what a model wrote stays text, measured by estimate, wrapped to a width.

/** What XML 1.0 cannot hold: control characters, halves of a pair, and the two non-characters. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to find
const unspeakable = /[\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F\uFFFE\uFFFF]|\p{Surrogate}/gu;

/** Text as XML or HTML content or attribute value; characters XML cannot hold become U+FFFD. */
export function escapeXml(text: string): string {
  return text
    .replace(unspeakable, "\uFFFD")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

/** Scripts written in full-width squares, their punctuation, and emoji. */
const wide =
  /[\u1100-\u115F\u2E80-\u303E\u3041-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE4F\uFF00-\uFF60\uFFE0-\uFFE6]|[\u{1F300}-\u{1FAFF}\u{20000}-\u{3FFFD}]/u;

/** True when the text needs a font with Chinese, Japanese or Korean letters, or emoji. */
export function isWide(text: string): boolean {
  return wide.test(text);
}

const slim = /[ijltfrI.,:;'"|!()[\]{}\s-]/;
const broad = /[mwMW@%]|[A-HJ-LN-VX-Z]/;

/** Estimated width of `text`, in pixels at `size` pixels; a little too wide rather than too narrow. */
export function textWidth(text: string, size: number): number {
  let ems = 0;
  for (const character of text) {
    if (wide.test(character)) ems += 1;
    else if (slim.test(character)) ems += 0.36;
    else if (broad.test(character)) ems += 0.78;
    else ems += 0.58;
  }
  return ems * size;
}

/** Pieces a line may break between: words with their space, single wide characters. */
const pieces = new RegExp(`${wide.source}|\\S[^\\s]*?(?=${wide.source})|\\S+\\s*|\\s+`, "gu");

/**
 * `text` in lines of at most `width` pixels at `size`, broken at spaces, between wide characters, and inside words that are
 * wider than a line. Line feeds of the text are kept. The last of `most` lines ends in "…" when there was more.
 */
export function wrap(text: string, width: number, size: number, most = Infinity): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split(/\r\n|\r|\n/)) {
    let line = "";
    for (const piece of paragraph.match(pieces) ?? []) {
      if (textWidth(line + piece.trimEnd(), size) <= width) {
        line += piece;
        continue;
      }
      if (line.trim() !== "") lines.push(line.trimEnd());
      line = "";
      for (const character of piece) {
        if (textWidth(line + character, size) > width && line !== "") {
          lines.push(line);
          line = "";
        }
        line += character;
      }
      if (lines.length > most) return shorten(lines, width, size, most);
    }
    lines.push(line.trimEnd());
    if (lines.length > most) return shorten(lines, width, size, most);
  }
  return lines;
}

function shorten(lines: readonly string[], width: number, size: number, most: number): string[] {
  const kept = lines.slice(0, most);
  let end = [...kept[most - 1]!];
  while (end.length > 0 && textWidth(`${end.join("")}…`, size) > width) end = end.slice(0, -1);
  kept[most - 1] = `${end.join("").trimEnd()}…`;
  return kept;
}
