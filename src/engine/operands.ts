// The operands and attributes of an op by name instead of position, typed from the op table. Next to read: signatures.ts.

import { type OpName, type OpSpec, ops } from "./ops.js";

type Spec<O extends OpName> = (typeof ops)[O];
type Written<O extends OpName> = Spec<O>["inputs"][number] | Spec<O>["outputs"][number];
type Needed<N extends string> = N extends `${string}?` ? never : N;
type Optional<N extends string> = N extends `${infer Name}?` ? Name : never;

/** Inputs, outputs and attributes of the op `O`, each operand being a `T`: `{ x, w, bias, h, b, y, scale }` for linear. */
export type Call<O extends OpName, T> = { readonly [N in Needed<Written<O>>]: T } & {
  readonly [N in Optional<Written<O>>]: T | undefined;
} & { readonly [N in Spec<O>["attrs"][number]]: number };

/** One function per op. */
export type Kernels<T, Context, Result = void> = {
  readonly [O in OpName]: (call: Call<O, T>, context: Context) => Result;
};

/** An operand's name in the table, without the mark of the optional ones. */
export function plainName(name: string): string {
  return name.endsWith("?") ? name.slice(0, -1) : name;
}

/** Puts names to the operands and attributes of one op, given in the order of its spec. */
export function nameOperands<O extends OpName, T>(
  op: O,
  inputs: readonly (T | undefined)[],
  outputs: readonly (T | undefined)[],
  attrs: readonly number[],
): Call<O, T> {
  const spec: OpSpec = ops[op];
  const names = [...spec.inputs, ...spec.outputs].map(plainName);
  const operands = [...inputs, ...outputs].map((operand, i) => [names[i], operand] as const);
  const numbers = spec.attrs.map((name, i) => [name, attrs[i]] as const);
  // The caller has checked the counts against the spec, which is where this type comes from.
  return Object.fromEntries<unknown>([...operands, ...numbers] as [string, unknown][]) as Call<O, T>;
}
