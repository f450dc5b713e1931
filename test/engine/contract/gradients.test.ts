// Backward ops of every device against two oracles: central differences of the exact reference, and TensorFlow.js's autodiff.

import * as tfModule from "@tensorflow/tfjs";
import { beforeAll, describe, expect, test } from "vitest";
import { referenceDevice } from "../../../src/engine/reference/index.js";
import { expectClose } from "../../close.js";
import { type Operand, runOne } from "./build.js";
import { onEveryDevice, reasonAgainst } from "./devices.js";
import { type Pair, pairs, type Tf } from "./pairs.js";
import { familyPairs } from "./pairs-families.js";

const tf: Tf = (tfModule as Tf & { readonly default?: Tf }).default ?? tfModule;
const exact = referenceDevice({ exact: true });

/** Slopes of sums of up to about 30 terms of size 1. Differences of the reference are good to 1e-5: its results are read in f32. */
const tolerance = { absolute: 5e-5, relative: 5e-5 };

type Gradients = Readonly<Record<string, Float64Array>>;

/** sum of arriving * forward(inputs), in f64. */
async function objective(
  { forward, output, arriving }: Pair,
  inputs: Readonly<Record<string, Operand>>,
): Promise<number> {
  const results = await runOne(exact, forward(inputs));
  return results[output].reduce((sum, value, i) => sum + value * (arriving.data as ArrayLike<number>)[i], 0);
}

/** Five-point central differences: error of order h⁴. */
async function differences(pair: Pair): Promise<Gradients> {
  const h = 2 ** -5;
  const gradients: Record<string, Float64Array> = {};
  for (const [name, input] of Object.entries(pair.inputs)) {
    const data = Float64Array.from(input.data as ArrayLike<number>, Math.fround);
    const at = async (i: number, move: number) => {
      const moved = data.map((value, j) => (j === i ? Math.fround(value + move) : value));
      return { x: moved[i], y: await objective(pair, { ...pair.inputs, [name]: { ...input, data: moved } }) };
    };
    gradients[name] = new Float64Array(data.length);
    for (let i = 0; i < data.length; i++) {
      const [a, b, c, d] = [await at(i, -2 * h), await at(i, -h), await at(i, h), await at(i, 2 * h)];
      gradients[name][i] = (4 * (c.y - b.y)) / (c.x - b.x) / 3 - (d.y - a.y) / (d.x - a.x) / 3;
    }
  }
  return gradients;
}

function autodiff({ inputs, arriving, inTf }: Pair): Gradients {
  const names = Object.keys(inputs);
  const tensor = ({ shape, data }: Operand) => tf.tensor(Float32Array.from(data as ArrayLike<number>), [...shape]);
  const gradients: Record<string, Float64Array> = {};
  tf.tidy(() => {
    const found = tf.grads((...tensors) => inTf(tf, Object.fromEntries(names.map((name, i) => [name, tensors[i]]))))(
      names.map((name) => tensor(inputs[name])),
      tensor(arriving),
    );
    for (const [i, name] of names.entries()) gradients[name] = Float64Array.from(found[i].dataSync());
  });
  return gradients;
}

describe.each([...pairs, ...familyPairs].map((pair) => [pair.title, pair] as const))("%s", (_, pair) => {
  let byDifferences: Gradients;
  let byTf: Gradients;
  beforeAll(async () => {
    byDifferences = await differences(pair);
    byTf = autodiff(pair);
  });

  test("the two oracles agree with each other", () => {
    expect(Object.keys(byTf)).toEqual(Object.keys(byDifferences));
    for (const [name, values] of Object.entries(byDifferences)) expectClose(byTf[name], values, tolerance, name);
  });

  onEveryDevice((device) => {
    const reason = reasonAgainst(device, pair.forward(pair.inputs).op);
    test.skipIf(reason)(`the backward agrees with both${reason ? ` (${reason})` : ""}`, async () => {
      const results = await runOne(device, pair.forward(pair.inputs));
      const gradients = await pair.backward(device, pair.arriving, results);
      expect(Object.keys(gradients)).toEqual(Object.keys(pair.inputs));
      for (const [name, values] of Object.entries(gradients)) {
        expectClose(values, byDifferences[name], tolerance, `${name} against differences`);
        expectClose(values, byTf[name], tolerance, `${name} against TensorFlow.js`);
      }
    });
  });
});
