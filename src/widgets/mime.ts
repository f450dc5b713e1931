// A run's output in a notebook: one MIME bundle, live where our extension is, a picture elsewhere, a sentence everywhere.
// The only file that knows how Jupyter names things; wire.ts has the names both ends share.

import type { MimeBundle } from "./host.js";
import { rasterize } from "./png.js";
import { snapshot } from "./snapshot.js";
import type { RunState } from "./state.js";
import { drawRun } from "./svg.js";
import { describeRun } from "./text.js";
import { RUN_MIME, RUN_TARGET, type RunOutput } from "./wire.js";

/** What a saved notebook grows by at most, in bytes of JSON. GitHub and version control stay fast below it. */
export const BUNDLE_BYTES = 200_000;

export interface Bundle {
  readonly data: MimeBundle;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/**
 * `application/vnd.tunebook.run.v1+json`, `image/svg+xml` and `text/plain`: about a millisecond, for every redraw.
 * Never `text/html`, which viewers prefer to pictures and then strip.
 */
export function bundleOf(state: RunState): Bundle {
  const small = snapshot(state);
  const picture = drawRun(small);
  const size = { width: picture.width, height: picture.height };
  const output: RunOutput = { runId: state.runId, target: RUN_TARGET, version: 1, state: small };
  const sentence = describeRun(state);
  return {
    data: { [RUN_MIME]: output, "image/svg+xml": picture.svg, "text/plain": sentence },
    metadata: { "image/svg+xml": { alt: sentence, ...size } },
  };
}

/**
 * The bundle with its `image/png` twin, for the last picture of a run.
 * The PNG is left out when the bundle would exceed BUNDLE_BYTES even at one image pixel a CSS pixel.
 */
export async function bundleWithPng(state: RunState): Promise<Bundle> {
  const bundle = bundleOf(state);
  const room = BUNDLE_BYTES - bytesOf(bundle.data);
  const picture = drawRun(snapshot(state));
  for (const zoom of room > BUNDLE_BYTES / 2 ? [1.5, 1] : [1]) {
    const png = Buffer.from(await rasterize(picture, zoom)).toString("base64");
    if (png.length > room) continue;
    const { width, height } = picture;
    return {
      data: { ...bundle.data, "image/png": png },
      metadata: { ...bundle.metadata, "image/png": { alt: describeRun(state), width, height } },
    };
  }
  return bundle;
}

/** Bytes of a bundle as the notebook file holds it. */
export function bytesOf(data: MimeBundle): number {
  return Buffer.byteLength(JSON.stringify(data));
}
