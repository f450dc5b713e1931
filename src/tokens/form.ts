// How a family of models lays out what is asked and what is answered. Next to read: template.ts, rows in that form.

import type { Tokenizer } from "./tokenizer.js";

export type Form =
  /** One text: the answer follows the prompt, every token sees those before it. */
  | { readonly kind: "causal" }
  /** GLM: prompt, [gMASK], <sop>, answer, <eop>. What stands before <sop> is the context, which sees itself in both directions. */
  | {
      readonly kind: "prefix";
      readonly mask: number;
      readonly gmask: number;
      readonly sop: number;
      readonly eop: number;
    }
  /** T5: an encoder reads the prompt, a decoder begins with `start` and goes on with the answer. */
  | { readonly kind: "seq2seq"; readonly start: number };

export const causal: Form = { kind: "causal" };

/** The ids a prompt is asked with; training and generation use the same. In "seq2seq" they are the encoder's. */
export function promptIn(form: Form, tokenizer: Tokenizer, prompt: string): number[] {
  if (form.kind === "causal") return tokenizer.encode(prompt, { bos: true });
  if (form.kind === "seq2seq") return tokenizer.encode(prompt, { eos: true });
  return [...tokenizer.encode(prompt), form.gmask, form.sop];
}

/** Where a GLM text's context ends and where its blank is. */
export interface Context {
  /** Place of <sop>: the tokens before it are the context. */
  readonly length: number;
  /** Place of the [gMASK] that what follows <sop> stands for, or of the [MASK]. */
  readonly blank: number;
}

/**
 * The context of a text's ids, as ChatGLM finds it: up to the first <sop>; its blank is the first [gMASK], else the first [MASK].
 *
 * @throws RangeError when one of them is not there.
 */
export function contextOf(ids: readonly number[], { mask, gmask, sop }: Form & { kind: "prefix" }): Context {
  const length = ids.indexOf(sop);
  const blank = ids.includes(gmask) ? ids.indexOf(gmask) : ids.indexOf(mask);
  if (length >= 0 && blank >= 0) return { length, blank };
  throw new RangeError(
    `expected the ids to hold <sop> (${sop}) and [gMASK] (${gmask}) or [MASK] (${mask}), found ${length < 0 ? "no <sop>" : "no mask"}`,
  );
}

/**
 * Both positions of a GLM token: its place in the text, where all that fills the blank is at the blank's place, and its place in the
 * blank, from 1 for <sop> on, where all of the context is at 0.
 *
 * @see Du et al. 2022, GLM, section 2.1, https://arxiv.org/abs/2103.10360
 */
export function contextPlaces(t: number, { length, blank }: Context): readonly [number, number] {
  return t < length ? [t, 0] : [blank, t - length + 1];
}

/** The keys that token t sees: all of the context, and beyond it those up to itself. */
export function contextRange(t: number, { length }: Context): readonly [number, number] {
  return [0, Math.max(t + 1, length)];
}
