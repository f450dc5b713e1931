// One run on one surface: drawn again and again, then a last time. One for our kernel, one for tslab; terminal.ts has the third.

import { randomUUID } from "node:crypto";
import type { Host } from "./host.js";
import type { Place } from "./hosts.js";
import { bundleOf, bundleWithPng } from "./mime.js";
import { snapshot } from "./snapshot.js";
import type { RunState } from "./state.js";
import { drawRun } from "./svg.js";
import { terminalDrawer } from "./terminal.js";

export interface Drawer {
  /** Cheap enough for once a second beside training. */
  draw(state: RunState): void;
  /** The picture that stays. */
  last(state: RunState): Promise<void>;
}

export function drawerFor(place: Place): Drawer {
  switch (place.kind) {
    case "host":
      return hostDrawer(place.host);
    case "tslab": {
      const display = place.newDisplay();
      const draw = (state: RunState) => display.raw("image/svg+xml", drawRun(snapshot(state)).svg);
      return { draw, last: async (state) => draw(state) };
    }
    case "terminal":
      return terminalDrawer();
    default:
      return place satisfies never;
  }
}

function hostDrawer(host: Host): Drawer {
  const displayId = `tunebook-${randomUUID()}`;
  let update = false;
  const put = ({ data, metadata }: ReturnType<typeof bundleOf>) => {
    host.display(data, { displayId, update, metadata });
    update = true;
  };
  return {
    draw: (state) => put(bundleOf(state)),
    last: async (state) => put(await bundleWithPng(state)),
  };
}
