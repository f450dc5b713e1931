// The head's product, cross-entropy and their gradients, one row at a time. Formulas: ops.ts.

import type { Call } from "../operands.js";
import { IGNORED } from "../ops.js";
import { asFactor, type Context, indexAt, sizes, type Values } from "./values.js";

export function headLoss(call: Call<"headLoss", Values>, context: Context): void {
  const { x, w, labels, nll, totals, dx, dw } = call;
  const [rows, width] = sizes(x);
  const [vocab] = sizes(w);
  const factor = asFactor(w, x.dtype, context);
  const { lossScale } = context.uniforms;
  const logits = new Float64Array(vocab);
  let [sum, count] = [0, 0];
  nll.data.fill(0);
  dx?.data.fill(0);
  for (let t = 0; t < rows; t++) {
    if (labels.data[t] === IGNORED) continue;
    const label = indexAt("labels", labels, t, vocab);
    for (let n = 0; n < vocab; n++) {
      logits[n] = 0;
      for (let i = 0; i < width; i++) logits[n] += x.data[t * width + i] * factor[n * width + i];
    }
    const most = logits.reduce((a, b) => Math.max(a, b));
    const lse = most + Math.log(logits.reduce((total, logit) => total + Math.exp(logit - most), 0));
    nll.data[t] = lse - logits[label];
    sum += nll.data[t];
    count += 1;
    for (let n = 0; n < vocab; n++) {
      const d = lossScale * (Math.exp(logits[n] - lse) - (n === label ? 1 : 0));
      for (let i = 0; i < width; i++) {
        if (dx) dx.data[t * width + i] += d * factor[n * width + i];
        if (dw) dw.data[n * width + i] += d * x.data[t * width + i];
      }
    }
  }
  totals.data[0] += sum;
  totals.data[1] += count;
}
