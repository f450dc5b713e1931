// The display functions of tslab, the kernel many notebooks were written for: `import * as tslab from "tslab"`.
// Types are in language/globals.ts.

import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { displayBundle } from "./host.js";
import { encode } from "./render.js";

type Text = (text: string) => void;
type Bytes = (bytes: Uint8Array) => void;

export interface Display {
  readonly javascript: Text;
  readonly html: Text;
  readonly markdown: Text;
  readonly latex: Text;
  readonly svg: Text;
  readonly png: Bytes;
  readonly jpeg: Bytes;
  readonly gif: Bytes;
  readonly pdf: Bytes;
  readonly text: Text;
  raw(mimeType: string, content: string | Uint8Array): void;
}

export const display: Display = createDisplay((mimeType, content) => displayBundle({ [mimeType]: encode(content) }));

/** The first call adds an output, later calls redraw it. */
export function newDisplay(): Display {
  const displayId = randomUUID();
  let shown = false;
  return createDisplay((mimeType, content) => {
    displayBundle({ [mimeType]: encode(content) }, { displayId, update: shown });
    shown = true;
  });
}

const require = createRequire(import.meta.url);

export const versions = {
  tslab: "1.0.22",
  typescript: (require("typescript/package.json") as { version: string }).version,
  node: process.versions.node,
};

function createDisplay(raw: Display["raw"]): Display {
  const as = (mimeType: string) => (content: string | Uint8Array) => raw(mimeType, content);
  return {
    javascript: as("application/javascript"),
    html: as("text/html"),
    markdown: as("text/markdown"),
    latex: as("text/latex"),
    svg: as("image/svg+xml"),
    png: as("image/png"),
    jpeg: as("image/jpeg"),
    gif: as("image/gif"),
    pdf: as("application/pdf"),
    text: as("text/plain"),
    raw,
  };
}
