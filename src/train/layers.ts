// The layers of a model as its trace shows them, whatever the family, and what of each can be computed again. Next to read: budget.ts.

import type { Node, Scope, Trace } from "../graph/index.js";

/** What of a layer is computed again on the way back: nothing, its feed-forward, or all of it. */
export type LayerChoice = "keep" | "mlp" | "layer";

/** A layer: a scope that lies in no other. Its feed-forward is the scope `<layer>.mlp` within it. */
export interface Layer {
  readonly name: string;
  readonly mlp: string | undefined;
  /** Layers of one kind do the same to tensors of the same shapes. */
  readonly kind: string;
}

/** Layers in the order of a forward, before it is differentiated. */
export function layersOf({ nodes, scopes }: Pick<Trace, "nodes" | "scopes">): readonly Layer[] {
  const within = (inner: Scope, outer: Scope) =>
    inner !== outer && outer.start <= inner.start && inner.end <= outer.end;
  const names = new Set(scopes.map(({ name }) => name));
  const outermost: Scope[] = [];
  for (const scope of [...scopes].sort((a, b) => a.start - b.start || b.end - a.end)) {
    const last = outermost.at(-1);
    if (!last || !within(scope, last)) outermost.push(scope);
  }
  return outermost.map(({ name, start, end }) => ({
    name,
    mlp: names.has(`${name}.mlp`) ? `${name}.mlp` : undefined,
    kind: nodes.slice(start, end).map(describe).join(";"),
  }));
}

function describe({ op, inputs, outputs }: Node): string {
  const shapes = [...inputs, ...outputs].map((tensor) => (tensor ? `${tensor.dtype}${tensor.shape.join("x")}` : ""));
  return `${op} ${shapes.join(" ")}`;
}

/** Names of the scopes that choices compute again. */
export function scopesOf(layers: readonly Layer[], choices: readonly LayerChoice[]): ReadonlySet<string> {
  const names = layers.map(({ name, mlp }, at) => {
    const choice = choices[at] ?? "keep";
    return choice === "layer" ? name : choice === "mlp" ? mlp : undefined;
  });
  return new Set(names.filter((name) => name !== undefined));
}

export interface ChoiceCounts {
  /** Layers whose values are all kept. */
  readonly keep: number;
  /** Layers whose feed-forward is computed again. */
  readonly mlp: number;
  /** Layers that are computed again wholly. */
  readonly layer: number;
}

export function countChoices(choices: readonly LayerChoice[]): ChoiceCounts {
  const of = (wanted: LayerChoice) => choices.filter((choice) => choice === wanted).length;
  return { keep: of("keep"), mlp: of("mlp"), layer: of("layer") };
}
