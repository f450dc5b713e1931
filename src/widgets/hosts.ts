// Where a picture can go in this process: our kernel's Host, the display of a tslab kernel, or the terminal.

import { type Host, hostKey } from "./host.js";

/** The part of tslab's display that is used; one MIME type a message. */
export interface TslabDisplay {
  raw(mime: string, data: string): void;
}

export type Place =
  | { readonly kind: "host"; readonly host: Host }
  | { readonly kind: "tslab"; readonly newDisplay: () => TslabDisplay }
  | { readonly kind: "terminal" };

/** What a tslab kernel leaves on globalThis for its cells. */
interface TslabCells {
  readonly require: (name: string) => unknown;
}

export function findPlace(): Place {
  const host = (globalThis as { [hostKey]?: Host })[hostKey];
  if (host) return { kind: "host", host };
  const cells = (globalThis as { __tslab__?: TslabCells }).__tslab__;
  if (cells) {
    const { newDisplay } = cells.require("tslab") as { newDisplay: () => TslabDisplay };
    return { kind: "tslab", newDisplay };
  }
  return { kind: "terminal" };
}
