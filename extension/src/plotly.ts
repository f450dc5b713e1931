// The one door to plotly.js, so that its megabyte is a chunk of its own. Imported dynamically by chart.ts.

import * as bundle from "plotly.js-basic-dist-min";

/** The three functions the chart uses. */
export interface Plotly {
  react(node: HTMLElement, traces: object[], layout: object, config: object): Promise<unknown>;
  purge(node: HTMLElement): void;
}

const module = bundle as unknown as Plotly & { readonly default?: Plotly };

export const plotly: Plotly = module.default ?? module;
