import { describe, expect, test } from "vitest";
import { bytesOf } from "../../src/engine/dtype.js";
import { type OpSpec, ops } from "../../src/engine/ops.js";
import { ALIGNMENT, align, type Buffer, bufferBytes, type Program } from "../../src/engine/program.js";
import {
  add,
  differentiate,
  embedding,
  gradientName,
  headLoss,
  layOut,
  linear,
  planProgram,
  rmsNorm,
  swiglu,
  type Tensor,
  Trace,
} from "../../src/graph/index.js";

const device = { workspaceBytes: () => 1000 };
const [tokens, hidden, inner, vocab, rank] = [12, 32, 48, 40, 4];

/** A small network with residuals, shared inputs and an adapter: everything that makes lifetimes interesting. */
function network({ layers = 2, train = true } = {}) {
  const trace = new Trace({ activations: "bf16" });
  const frozen = (name: string, shape: number[]) => trace.parameter(name, "bf16", shape);
  const lora = (name: string, inputs: number, outputs: number) => ({
    a: trace.parameter(`${name}.a`, "f32", [rank, inputs], { trained: true }),
    b: trace.parameter(`${name}.b`, "f32", [outputs, rank], { trained: true }),
    scale: 2,
  });
  let x: Tensor = embedding(frozen("embed", [vocab, hidden]), trace.input("ids", "i32", [tokens]));
  for (let i = 0; i < layers; i++) {
    const y = rmsNorm(x, frozen(`norm${i}`, [hidden]), 1e-6);
    const gate = linear(y, frozen(`gate${i}`, [inner, hidden]), { lora: lora(`gate${i}`, hidden, inner) });
    const up = linear(y, frozen(`up${i}`, [inner, hidden]), { lora: lora(`up${i}`, hidden, inner) });
    x = add(
      x,
      linear(swiglu(gate, up), frozen(`down${i}`, [hidden, inner]), { lora: lora(`down${i}`, inner, hidden) }),
    );
  }
  const { nll, totals } = headLoss(x, frozen("head", [vocab, hidden]), trace.input("labels", "i32", [tokens]), {
    chunk: 8,
  });
  trace.output("nll", nll);
  trace.output("totals", totals);
  if (train) differentiate(trace, totals);
  return trace;
}

function placementsOf(trace: Trace) {
  const of = (place: string) => [...trace.tensors].filter((tensor) => tensor.place === place);
  return new Map([
    ...layOut("weights", of("frozen")).placements,
    ...layOut("trained", of("trained")).placements,
    ...layOut("gradients", of("gradient")).placements,
  ]);
}

function plan(trace: Trace) {
  return planProgram(trace, { name: "test", device, placements: placementsOf(trace) }).program;
}

describe("the memory plan", () => {
  test("never gives two values that are alive together the same bytes, unless the op works in place", () => {
    const program = plan(network({ layers: 3 }));
    const first = new Map<number, number>();
    const last = new Map<number, number>();
    program.ops.forEach((op, at) => {
      for (const i of [...op.inputs, ...op.outputs].filter((i) => i >= 0)) {
        if (!first.has(i)) first.set(i, at);
        last.set(i, at);
      }
    });
    const values = [...first.keys()].filter((i) => (program.buffers[i] as Buffer).arena === "activations");
    expect(values.length).toBeGreaterThan(40);
    for (const a of values) {
      for (const b of values) {
        if (a >= b || !overlap(program.buffers[a] as Buffer, program.buffers[b] as Buffer)) continue;
        const [early, late] = (first.get(a) as number) <= (first.get(b) as number) ? [a, b] : [b, a];
        const end = last.get(early) as number;
        const start = first.get(late) as number;
        if (end < start) continue;
        expect(end, `${name(program, early)} and ${name(program, late)}`).toBe(start);
        expect(mayReplace(program, start, early, late), `${name(program, late)} over ${name(program, early)}`).toBe(
          true,
        );
      }
    }
  });

  test("reuses memory: training three layers needs less than all values together, and each arena ends where its last buffer ends", () => {
    const program = plan(network({ layers: 3 }));
    const values = program.buffers.filter((buffer) => buffer.arena === "activations");
    const sum = values.reduce((total, buffer) => total + align(bufferBytes(buffer)), 0);
    expect(program.arenaBytes.activations).toBeLessThan(sum * 0.75);
    for (const arena of ["weights", "trained", "gradients", "activations"] as const) {
      const ends = program.buffers
        .filter((buffer) => buffer.arena === arena)
        .map((buffer) => buffer.offset + align(bufferBytes(buffer)));
      expect(program.arenaBytes[arena]).toBe(Math.max(...ends));
    }
    for (const buffer of program.buffers) expect(buffer.offset % ALIGNMENT).toBe(0);
  });

  test("without a backward, memory does not grow with depth", () => {
    expect(plan(network({ layers: 6, train: false })).arenaBytes.activations).toBe(
      plan(network({ layers: 2, train: false })).arenaBytes.activations,
    );
  });

  test("workspace holds an op's own scratch and its scratch results side by side", () => {
    const program = plan(network());
    const loss = program.ops.find((op) => op.op === "headLoss");
    const logits = program.buffers[loss?.outputs[4] as number] as Buffer;
    expect(logits.arena).toBe("workspace");
    expect(logits.offset).toBe(align(1000));
    expect(program.arenaBytes.workspace).toBe(align(1000) + align(8 * vocab * 4));
  });

  test("says which tensor has no place", () => {
    const trace = network();
    const placements = new Map([...placementsOf(trace)].filter(([name]) => name !== "head"));
    expect(() => planProgram(trace, { name: "step", device, placements })).toThrow(
      'step: frozen tensor "head" has no place',
    );
  });

  test("says when a tensor was placed in another shape", () => {
    const trace = network();
    const placements = new Map(placementsOf(trace));
    placements.set("head", { arena: "weights", offset: 0, dtype: "bf16", shape: [2, 2] });
    expect(() => planProgram(trace, { name: "step", device, placements })).toThrow(
      '"head" was placed in weights as bf16 [2, 2], the trace uses it in weights as bf16 [40, 32]',
    );
  });
});

describe("the backward", () => {
  test("gives frozen weights no gradient and every trained tensor one", () => {
    const trace = network();
    const program = plan(trace);
    const gradients = program.buffers.filter((buffer) => buffer.arena === "gradients").map((buffer) => buffer.name);
    const trained = [...trace.tensors]
      .filter((tensor) => tensor.place === "trained")
      .map((tensor) => gradientName(tensor.name));
    expect(gradients.sort()).toEqual(trained.sort());
  });

  test("does not compute what nobody needs: the first norm's input gets no gradient", () => {
    const trace = network({ layers: 1 });
    expect(trace.nodes.filter((node) => node.op === "rmsNormInput")).toEqual([]);
    expect(network({ layers: 2 }).nodes.filter((node) => node.op === "rmsNormInput")).toHaveLength(1);
  });

  test("lets the adapter's share of dx ride along in the frozen matrix's product", () => {
    const riders = network({ layers: 2 }).nodes.filter((node) => node.op === "linearInput" && node.inputs[2]);
    expect(riders).toHaveLength(4); // down and up and gate of layer 1, down of layer 0
  });

  test("refuses a loss that nothing trained is behind", () => {
    const trace = new Trace();
    const x = embedding(trace.parameter("embed", "f32", [4, 8]), trace.input("ids", "i32", [3]));
    const { totals } = headLoss(x, trace.parameter("head", "f32", [4, 8]), trace.input("labels", "i32", [3]));
    expect(() => differentiate(trace, totals)).toThrow("differentiate: nothing that trains is behind the loss");
  });
});

describe("a trace", () => {
  test("names the axis that does not fit", () => {
    const trace = new Trace();
    const x = embedding(trace.parameter("embed", "f32", [4, 8]), trace.input("ids", "i32", [3]));
    expect(() => linear(x, trace.parameter("w", "f32", [5, 7]))).toThrow(
      'linear: w "w" has shape [5, 7], expected [outputs, 8]',
    );
  });

  test("makes a tied weight one tensor and refuses the same name in another shape", () => {
    const trace = new Trace();
    expect(trace.parameter("w", "f32", [2, 3])).toBe(trace.parameter("w", "f32", [2, 3]));
    expect(() => trace.parameter("w", "f32", [3, 2])).toThrow(
      '"w" was frozen f32 [2, 3], now asked for as frozen f32 [3, 2]',
    );
  });
});

function overlap(a: Buffer, b: Buffer): boolean {
  const size = (buffer: Buffer) => bytesOf(buffer.dtype, buffer.shape);
  return a.offset < b.offset + size(b) && b.offset < a.offset + size(a);
}

function name(program: Program, i: number): string {
  return (program.buffers[i] as Buffer).name;
}

/** Whether the op at `at` may write `late` over `early`. */
function mayReplace(program: Program, at: number, early: number, late: number): boolean {
  const op = program.ops[at] as Program["ops"][number];
  const spec: OpSpec = ops[op.op];
  const pairs = spec.inPlace ?? [];
  const output = spec.outputs[op.outputs.indexOf(late)];
  return pairs.some(([to, from]) => to === output && op.inputs[spec.inputs.indexOf(from)] === early);
}
