// The native library trusts no bytes: what TypeScript's own check would have caught is tried on it directly, and then anything at all.

import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { type ArenaHandle, loadAddon, type NativeError } from "../../src/engine/addon.js";
import { cpuDevice } from "../../src/engine/cpu.js";
import { plainName } from "../../src/engine/operands.js";
import { neutralUniforms, type OpSpec, ops, uniforms } from "../../src/engine/ops.js";
import { categories, type Program, serialize } from "../../src/engine/program.js";
import { bitsAt } from "../../src/engine/random.js";
import { counts, signatures, switches, together } from "../../src/engine/signatures.js";
import { type OneOp, programOf, seeded } from "./contract/build.js";
import { allCases } from "./contract/judge.js";
import { Make } from "./contract/make.js";

const addon = loadAddon();
const handle = addon.create(2, undefined);
const planner = cpuDevice({ threads: 2 });
afterAll(async () => {
  addon.dispose(handle);
  await planner.dispose();
});

function arenasOf(program: Program): (ArenaHandle | undefined)[] {
  return categories.map((category) =>
    program.arenaBytes[category] > 0 ? addon.allocate(handle, program.arenaBytes[category]) : undefined,
  );
}

function refusal(bytes: Uint8Array, arenas: readonly (ArenaHandle | undefined)[]): NativeError | undefined {
  try {
    addon.compile(handle, bytes, arenas);
    return undefined;
  } catch (error) {
    return error as NativeError;
  }
}

const linear: OneOp = {
  op: "linear",
  operands: {
    x: { shape: [10, 4], data: seeded([10, 4], 1) },
    w: { shape: [3, 4], data: seeded([3, 4], 2) },
    y: { shape: [10, 3] },
  },
  attrs: { scale: 1 },
};

/** A change to a Program that validate.ts would refuse, and what the native library says. */
const damages: readonly {
  readonly what: string;
  readonly damage: (program: Program) => Program;
  readonly message: RegExp;
}[] = [
  {
    what: "a wrong shape",
    damage: (program) => withBuffer(program, "w", { shape: [4, 3] }),
    message: /^input w has shape \[4, 3\], expected \[N,K\]$/,
  },
  {
    what: "an index as activations",
    damage: (program) => withBuffer(program, "x", { dtype: "i32" }),
    message: /^input x has dtype i32, expected f32 or bf16 or f16$/,
  },
  {
    what: "a matrix in few bits outside the weights",
    damage: (program) => withBuffer(program, "w", { dtype: "i8" }),
    message: /^buffer \d: the arena's code, expected that of weights for a quantised matrix, is 4$/,
  },
  {
    what: "an odd number of columns in 4 bits",
    damage: (program) => withBuffer(program, "w", { dtype: "nf4", shape: [3, 5] }),
    message: /^buffer \d: the columns, expected an even number in 4 bits, is 5$/,
  },
  {
    what: "few bits for what is no matrix",
    damage: (program) => withBuffer(program, "w", { dtype: "i8", shape: [12] }),
    message: /^buffer \d: the rank, expected 2 for a quantised matrix, is 1$/,
  },
  {
    what: "a place beyond the arena",
    damage: (program) => withBuffer(program, "y", { offset: 1 << 20 }),
    message: /^buffer \d: its end, beyond its arena, is \d+$/,
  },
  {
    what: "a place that is not aligned",
    damage: (program) => withBuffer(program, "y", { offset: 8 }),
    message: /the offset, a multiple of 256, is 8$/,
  },
  {
    what: "a negative place",
    damage: (program) => withBuffer(program, "y", { offset: -256 }),
    message: /the offset, a multiple of 256, is -256$/,
  },
  {
    what: "a size that is no whole number",
    damage: (program) => withBuffer(program, "y", { shape: [10, 1.5] }),
    message: /a size, expected a whole number from 1, is 1.5$/,
  },
  {
    what: "sizes whose product is beyond all memory",
    damage: (program) => withBuffer(program, "y", { shape: [2 ** 40, 2 ** 40] }),
    message: /the number of elements is/,
  },
  {
    what: "an output over an input",
    damage: (program) => withBuffer(program, "y", { offset: 0 }),
    message: /^output y shares memory with input x, which this op does not allow$/,
  },
  {
    what: "a buffer that is not there",
    damage: (program) => withOp(program, { inputs: [0, 9, -1, -1, -1] }),
    message: /^the operand is buffer 9 of 3$/,
  },
  {
    what: "an absent operand",
    damage: (program) => withOp(program, { inputs: [0, -1, -1, -1, -1] }),
    message: /^input w is absent, and it is not optional$/,
  },
  {
    what: "half of a pair",
    damage: (program) => withOp(program, { inputs: [0, 1, -1, 0, -1] }),
    message: /^input b is absent, but h is there$/,
  },
  {
    what: "an attribute that is not finite",
    damage: (program) => withOp(program, { attrs: [Number.NaN] }),
    message: /^an attribute, expected a finite number, is nan$/,
  },
  {
    what: "too many inputs",
    damage: (program) => withOp(program, { inputs: [0, 1, -1, -1, -1, -1] }),
    message: /^the number of inputs is 6$/,
  },
  {
    what: "a workspace that is too small",
    damage: (program) => withOp(program, { workspace: { offset: 0, bytes: 16 } }),
    message: /^workspace has 16 bytes, expected \d+ for 2 threads$/,
  },
  {
    what: "a workspace beyond its arena",
    damage: (program) => withOp(program, { workspace: { offset: 1 << 24, bytes: 1 << 20 } }),
    message: /^workspace ends at byte \d+ of the arena workspace, which has \d+$/,
  },
];

function withBuffer(program: Program, name: string, change: Partial<Program["buffers"][number]>): Program {
  const buffers = program.buffers.map((buffer) => (buffer.name === name ? { ...buffer, ...change } : buffer));
  return { ...program, buffers };
}

function withOp(program: Program, change: Partial<Program["ops"][number]>): Program {
  return { ...program, ops: program.ops.map((op) => ({ ...op, ...change })) };
}

describe("refused", () => {
  const program = programOf(planner, linear);
  const arenas = arenasOf(program);

  test("nothing, when the Program holds together", () => {
    expect(refusal(serialize(program), arenas)).toBeUndefined();
  });

  test.each(damages)("$what", ({ damage, message }) => {
    const error = refusal(serialize(damage(program)), arenas);
    expect(error?.message).toMatch(message);
    expect(error?.code).toBe(1);
  });

  test("an operand at fault is named by position, inputs first, then outputs", () => {
    const error = refusal(serialize(withBuffer(program, "y", { shape: [10, 4] })), arenas);
    expect(error).toMatchObject({ op: 0, operand: 5 });
  });

  test("every length that is cut short", () => {
    const bytes = serialize(program);
    for (let length = 0; length < bytes.length; length++) expect(refusal(bytes.slice(0, length), arenas)).toBeDefined();
    expect(refusal(Uint8Array.of(...bytes, ...new Uint8Array(8)), arenas)?.message).toMatch(/left over/);
  });

  test("an arena that is too small, or none", () => {
    const small = arenas.map((arena) => arena && addon.allocate(handle, 64));
    expect(refusal(serialize(program), small)?.message).toMatch(/^needs \d+ bytes of arena 4, got 64$/);
    expect(refusal(serialize(program), [])?.message).toMatch(/^needs \d+ bytes of arena 4, got 0$/);
  });
});

describe("the native table of ops", () => {
  test.each(Object.keys(ops) as (keyof typeof ops)[])("knows the operands of %s as ops.ts does", (name) => {
    const spec: OpSpec = ops[name];
    const source = nativeSignature(name);
    expect(source.operands.map(({ name: operand }) => operand)).toEqual([...spec.inputs, ...spec.outputs]);
    expect(source.attrs).toEqual(spec.attrs);
    expect(source.inPlace).toEqual((spec.inPlace ?? []).map((pair) => pair.join("=")));
    expect(source.together).toEqual(together[name] ?? []);
    for (const { name: operand, type } of source.operands) {
      expect(`${operand}: ${type}`).toBe(
        `${operand}: ${signatures[name][plainName(operand)]?.replaceAll(", ", ",").replace(" ", "")}`,
      );
    }
    expect([...counts, ...switches]).toEqual(
      expect.arrayContaining(
        source.attrs.filter((attr) => !["eps", "scale", "alpha", "p", "stream"].includes(attr) && name !== "adamw"),
      ),
    );
  });
});

/** One row of native/signature.cpp. */
function nativeSignature(name: string) {
  const row = new RegExp(`\\{"${name}",((?:[^{}]|\\n)*?)\\}`).exec(table)?.[1];
  if (!row) throw new Error(`no row of ${name} in signature.cpp`);
  // Neighbouring literals are one string in C++, as long as no comma stands between them.
  const [inputs, outputs, attrs, inPlace, pair] = row
    .replace(/"\s*\n\s*"/g, "")
    .split(/,\s*(?=")/)
    .map((text) => text.trim().replace(/^"|"$/g, ""));
  const words = (text = "") => text.split(" ").filter((word) => word !== "");
  const operands = [...words(inputs), ...words(outputs)].map((word) => {
    const [operand, type] = word.split(":") as [string, string];
    return { name: operand, type };
  });
  return { operands, attrs: words(attrs), inPlace: words(inPlace), together: words(pair) };
}

const table = readFileSync(new URL("../../src/engine/native/signature.cpp", import.meta.url), "utf8");

describe("anything at all", () => {
  /** One case of each op, not too large. */
  const chosen = Object.keys(ops).map((name) => allCases.find((candidate) => candidate.op === name));
  const values = [
    0,
    1,
    2,
    3,
    7,
    255,
    256,
    65536,
    -1,
    0.5,
    1e9,
    2 ** 31,
    2 ** 32,
    2 ** 52,
    2 ** 53,
    Number.NaN,
    Infinity,
    -Infinity,
  ];

  test.each(chosen.map((given) => [given?.op, given] as const))(
    "bytes of a Program of %s, changed at random, are refused or run within their arenas",
    async (_, given) => {
      if (!given) throw new Error("an op without a case");
      const program = programOf(planner, await given.make(new Make("f32")));
      // Larger arenas than the Program asks for, so that damage which still fits is compiled and run.
      const roomy: Program = { ...program, arenaBytes: { ...program.arenaBytes } };
      const arenas = arenasOf(roomy);
      const good = serialize(program);
      let [ran, refused] = [0, 0];
      for (let round = 0; round < 200; round++) {
        const bytes = good.slice();
        const view = new DataView(bytes.buffer);
        const random = (i: number) => bitsAt(given.op.length, round, i);
        const changes = 1 + (random(0) % 3);
        for (let i = 0; i < changes; i++) {
          const cell = (random(10 + i) % (bytes.length / 8)) * 8;
          const kind = random(20 + i) % 3;
          const value = values[random(30 + i) % values.length] as number;
          if (kind === 0) view.setFloat64(cell, value, true);
          else if (kind === 1) view.setUint32(cell + 4 * (random(40 + i) % 2), Math.abs(value) || 0, true);
          else view.setUint8(cell + (random(50 + i) % 8), random(60 + i) & 255);
        }
        try {
          const compiled = addon.compile(handle, bytes, arenas);
          await addon.run(
            compiled,
            Float64Array.from(uniforms, (name) => neutralUniforms[name]),
            new Int32Array(1),
          );
          ran += 1;
        } catch (error) {
          expect([1, 2]).toContain((error as NativeError).code);
          refused += 1;
        }
      }
      expect(ran + refused).toBe(200);
      expect(refused).toBeGreaterThan(20);
      for (const arena of arenas) if (arena) addon.free(arena);
    },
  );
});

test("there are eight arenas, and the workspace is the sixth", () => {
  expect(categories).toHaveLength(8);
  expect(categories.indexOf("workspace")).toBe(5);
});
