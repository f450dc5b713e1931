// SVG to PNG with resvg, for places that show no SVG. For last pictures: half a second of one core, off the JS thread.

import { renderAsync } from "@resvg/resvg-js";
import type { Picture } from "./svg.js";

/**
 * The picture as PNG bytes, `zoom` image pixels a CSS pixel.
 * About a third of a second, most of it the system's fonts, and one to two milliseconds for each Chinese letter.
 *
 * Letters come from the machine's fonts: without a font for a script (Chinese answers on a bare server) its letters are drawn
 * as boxes, which nobody reports. So the PNG is never the only form: the SVG beside it keeps them as text.
 */
export async function rasterize(picture: Picture, zoom = 1.5): Promise<Uint8Array> {
  const image = await renderAsync(picture.svg, {
    fitTo: { mode: "zoom", value: zoom },
    font: { loadSystemFonts: true, defaultFontFamily: "DejaVu Sans", sansSerifFamily: "DejaVu Sans" },
    logLevel: "off",
  });
  return image.asPng();
}
