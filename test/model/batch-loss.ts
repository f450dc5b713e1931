// One batch through a whole model: loss, gradients and memory, for tests.

import { type Device, IGNORED, neutralUniforms } from "../../src/engine/index.js";
import { normalAt } from "../../src/engine/random.js";
import {
  differentiate,
  gradientName,
  headLoss,
  layOut,
  linear,
  planProgram,
  Trace,
  type TraceOptions,
} from "../../src/graph/index.js";
import type { LinearHook, Model } from "../../src/model/model.js";
import { type TrainedTensor, TrainedTensors } from "../../src/model/trained.js";

const [batch, seq] = [2, 5];
const ids = Int32Array.of(1, 5, 9, 3, 7, 1, 8, 8, 0, 0);
const positions = Int32Array.from({ length: batch * seq }, (_, t) => t % seq);
// The second text ends after three tokens: padding sees nothing and teaches nothing.
const lengths = [5, 3];
const ranges = Int32Array.from({ length: batch * seq * 2 }, (_, i) => {
  const [row, at] = [Math.floor(i / (2 * seq)), Math.floor(i / 2) % seq];
  return i % 2 === 1 && at < (lengths[row] as number) ? at + 1 : 0;
});
const labels = Int32Array.of(IGNORED, 9, 3, 7, 2, IGNORED, 8, 2, IGNORED, IGNORED);
const bytes = (data: Int32Array) => new Uint8Array(data.buffer);

/** Number of labels in the batch. */
export const trainedTokens = 6;

/** Loss and gradients of a model on the batch above, each time the result is called. */
export async function lossOf(device: Device, model: Model, options: TraceOptions = {}) {
  const trained = model.trained as TrainedTensors;
  const trace = new Trace({ activations: model.dtype, training: true, ...options });
  const inputs = {
    batch,
    ids: trace.input("ids", "i32", [batch * seq]),
    positions: trace.input("positions", "i32", [batch * seq]),
    ranges: trace.input("ranges", "i32", [batch * seq, 2]),
  };
  const hidden = model.hidden(trace, inputs);
  const loss = headLoss(hidden, model.head(trace), trace.input("labels", "i32", [batch * seq]), { chunk: 3 });
  trace.output("nll", loss.nll);
  trace.output("totals", loss.totals);
  differentiate(trace, loss.totals);
  const gradients = layOut(
    "gradients",
    trained.list.map(({ name, shape }) => ({ name: gradientName(name), dtype: "f32", shape })),
  );
  const placements = new Map([...model.placements, ...gradients.placements]);
  const { program, find } = planProgram(trace, { name: "loss", device, placements });
  const arena = (category: "gradients" | "activations" | "workspace" | "io") =>
    device.allocate(category, program.arenaBytes[category]);
  const arenas = {
    weights: model.weights.arena,
    trained: trained.arena,
    gradients: arena("gradients"),
    activations: arena("activations"),
    workspace: arena("workspace"),
    io: arena("io"),
  };
  const executable = await device.compile(program, arenas);
  const put = (name: string, data: Int32Array) => arenas.io.write(find(name).offset, bytes(data));
  const read = async (from: keyof typeof arenas, offset: number, count: number) =>
    new Float32Array((await arenas[from].read(offset, count * 4)).slice().buffer);
  const run = async () => {
    await put("ids", ids);
    await put("positions", positions);
    await put("ranges", ranges);
    await put("labels", labels);
    await arenas.gradients.write(0, new Uint8Array(program.arenaBytes.gradients));
    await arenas.io.write(find("totals").offset, new Uint8Array(8));
    await executable.run(neutralUniforms);
    return {
      loss: (await read("io", find("nll").offset, batch * seq)).reduce((sum, nll) => sum + nll, 0),
      totals: await read("io", find("totals").offset, 2),
      gradient: async (tensor: TrainedTensor) => {
        const buffer = find(gradientName(tensor.name));
        return read(
          "gradients",
          buffer.offset,
          tensor.shape.reduce((a, b) => a * b, 1),
        );
      },
    };
  };
  return { run, program };
}

/** Adapters of rank 2 on every linear layer, none of them zero. */
export async function withAdapters(device: Device, base: Model): Promise<Model> {
  const rank = 2;
  const list = base.linears.flatMap(({ name, inputs, outputs }): TrainedTensor[] => [
    { name: `${name}.a`, shape: [rank, inputs], decay: true },
    { name: `${name}.b`, shape: [outputs, rank], decay: true },
  ]);
  const values = (tensor: TrainedTensor) =>
    Float32Array.from(
      { length: tensor.shape.reduce((a, b) => a * b, 1) },
      (_, i) => 0.3 * normalAt(list.indexOf(tensor) + 99, i),
    );
  const trained = await TrainedTensors.create(device, list, values, { save: async () => undefined });
  const hook: LinearHook = (trace, site, x, w, bias) => {
    const part = (end: string) =>
      trace.parameter(`${site.name}.${end}`, "f32", trained.find(`${site.name}.${end}`)?.shape as number[], {
        trained: true,
      });
    return linear(x, w, { bias, lora: { a: part("a"), b: part("b"), scale: 1.5 } });
  };
  return base.withTrained(trained, hook);
}
