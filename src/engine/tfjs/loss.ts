// The head's product, cross-entropy and their gradients, `chunk` labelled rows at a time. Formulas: ops.ts.

import type { Call } from "../operands.js";
import { IGNORED } from "../ops.js";
import { type Context, checkIds, floatsOf, type Operand, type Results } from "./operand.js";

export function headLoss(call: Call<"headLoss", Operand>, { tf, uniforms }: Context): Results {
  const { x, w, labels, nll, totals, dx, dw, chunk } = call;
  const [vocab] = w.shape;
  const width = x.shape[1];
  checkIds("labels", labels.ids, vocab, (label) => label === IGNORED);
  const labelled = [...labels.ids.keys()].filter((t) => labels.ids[t] !== IGNORED);

  const losses = floatsOf(nll).fill(0);
  const slopes = dx && floatsOf(dx).fill(0);
  // Made outside the tidy of a chunk, which would end their lives with it.
  const [inputs, weight] = [x.tensor, w.tensor];
  let weightSum = dw?.tensor;
  let sum = 0;
  for (let start = 0; start < labelled.length; start += chunk) {
    const rows = labelled.slice(start, start + chunk);
    const next = tf.tidy(() => {
      const part = tf.gather(inputs, tf.tensor1d(rows, "int32"));
      const logits = tf.matMul(part, weight, false, true);
      const lse = tf.logSumExp(logits, 1, true);
      const hit = tf.oneHot(
        tf.tensor1d(
          rows.map((t) => labels.ids[t]),
          "int32",
        ),
        vocab,
        1,
        0,
        "float32",
      );
      const partLosses = tf.sub(lse, tf.sum(tf.mul(logits, hit), 1, true)).dataSync();
      for (const [i, t] of rows.entries()) losses[t] = partLosses[i];
      if (!slopes && !weightSum) return undefined;
      const d = tf.mul(uniforms.lossScale, tf.sub(tf.exp(tf.sub(logits, lse)), hit));
      if (slopes) {
        const partSlopes = tf.matMul(d, weight).dataSync() as Float32Array;
        for (const [i, t] of rows.entries()) slopes.set(partSlopes.subarray(i * width, (i + 1) * width), t * width);
      }
      return weightSum && tf.add(weightSum, tf.matMul(d, part, true, false));
    });
    if (next) weightSum?.dispose();
    weightSum = next ?? weightSum;
    for (const t of rows) sum += losses[t];
  }
  const total = floatsOf(totals);
  total[0] += sum;
  total[1] += labelled.length;
  return weightSum ? { dw: weightSum } : {};
}
