// What a Program must be before a device runs it: places, dtypes, shapes, attributes, aliases. Used by reference/ and tfjs/.

import { type Arena, type DeviceInfo, EngineError } from "./device.js";
import { type DType, dtypes, type FloatDType, type Shape } from "./dtype.js";
import { plainName } from "./operands.js";
import { type OpName, type OpSpec, ops, type Uniforms, uniforms } from "./ops.js";
import { ALIGNMENT, type Buffer, bufferBytes, type Category, categories, type Op, type Program } from "./program.js";
import { isQuantized, quantizedShapeProblem } from "./quantized.js";
import { counts, signatures, switches, together } from "./signatures.js";

type Arenas = Readonly<Partial<Record<Category, Arena>>>;

/**
 * Check a whole Program against the op table and the arenas it shall run on.
 *
 * @throws EngineError at the first fault: `program "step": op 17 linear: input w has shape [3, 2], expected [N, 4]`.
 */
export function validateProgram(program: Program, arenas: Arenas, computeDTypes: DeviceInfo["computeDTypes"]): void {
  const where = `program ${JSON.stringify(program.name)}`;
  for (const category of categories) {
    const needed = program.arenaBytes[category];
    const size = arenas[category]?.bytes ?? 0;
    if (!isCount(needed, 0))
      throw new EngineError(`${where}: arenaBytes.${category} is ${needed}, expected a whole number`);
    if (size < needed) throw new EngineError(`${where}: needs ${needed} bytes of the arena ${category}, got ${size}`);
  }
  for (const [index, buffer] of program.buffers.entries()) {
    checkBuffer(`${where}: buffer ${index} ${JSON.stringify(buffer.name)}`, buffer, program);
  }
  for (const [index, op] of program.ops.entries()) {
    if (!Object.hasOwn(ops, op.op)) {
      throw new EngineError(
        `${where}: op ${index} is ${JSON.stringify(op.op)}, expected one of ${Object.keys(ops).join(" ")}`,
      );
    }
    checkOp(`${where}: op ${index} ${op.op}`, op, program, computeDTypes);
  }
}

/** @throws EngineError when a slot is missing or not finite, or when step, micro or seed are not whole numbers in their range. */
export function checkUniforms(program: string, values: Uniforms): void {
  for (const name of uniforms) {
    const value = values[name];
    const whole = name === "step" || name === "micro" || name === "seed";
    const least = name === "step" ? 1 : 0;
    if (whole ? isCount(value, least) && value <= 0xffffffff : Number.isFinite(value)) continue;
    const expected = whole ? `a whole number from ${least} to 4294967295` : "a finite number";
    throw new EngineError(`program ${JSON.stringify(program)}: uniform ${name} is ${value}, expected ${expected}`);
  }
}

function isCount(value: number | undefined, least: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least;
}

function checkBuffer(where: string, buffer: Buffer, program: Program): void {
  if (!dtypes.includes(buffer.dtype)) {
    throw new EngineError(`${where}: dtype is ${buffer.dtype}, expected one of ${dtypes.join(" ")}`);
  }
  if (!categories.includes(buffer.arena)) {
    throw new EngineError(`${where}: arena is ${buffer.arena}, expected one of ${categories.join(" ")}`);
  }
  if (!buffer.shape.every((size) => isCount(size, 1))) {
    throw new EngineError(`${where}: shape is ${show(buffer.shape)}, expected whole numbers from 1`);
  }
  if (isQuantized(buffer.dtype)) {
    const expected = quantizedShapeProblem(buffer.dtype, buffer.shape);
    if (expected) throw new EngineError(`${where}: shape is ${show(buffer.shape)}, expected ${expected}`);
    if (buffer.arena !== "weights") {
      throw new EngineError(`${where}: arena is ${buffer.arena}, expected weights for ${buffer.dtype}`);
    }
  }
  checkPlace(where, buffer.arena, buffer.offset, bufferBytes(buffer), program);
}

function checkPlace(where: string, arena: Category, offset: number, bytes: number, program: Program): void {
  if (!isCount(offset, 0) || offset % ALIGNMENT !== 0) {
    throw new EngineError(`${where}: offset is ${offset}, expected a multiple of ${ALIGNMENT}`);
  }
  const end = offset + bytes;
  const size = program.arenaBytes[arena];
  if (end > size) throw new EngineError(`${where}: ends at byte ${end} of the arena ${arena}, which has ${size}`);
}

interface Operand {
  /** "input w" */
  readonly label: string;
  readonly name: string;
  readonly output: boolean;
  readonly buffer: Buffer | undefined;
}

function checkOp(where: string, op: Op, program: Program, computeDTypes: readonly DType[]): void {
  const spec: OpSpec = ops[op.op];
  for (const kind of ["inputs", "outputs", "attrs"] as const) {
    if (op[kind].length !== spec[kind].length) {
      throw new EngineError(
        `${where}: has ${op[kind].length} ${kind}, expected ${spec[kind].length}: ${spec[kind].join(" ")}`,
      );
    }
  }
  const operands = [
    ...spec.inputs.map((name, i) => findOperand(where, name, op.inputs[i] as number, false, program)),
    ...spec.outputs.map((name, i) => findOperand(where, name, op.outputs[i] as number, true, program)),
  ];
  const attrs = Object.fromEntries(spec.attrs.map((name, i) => [name, op.attrs[i] as number]));
  checkAttrs(where, attrs);
  checkTogether(where, op.op, operands);
  checkDTypes(where, op.op, operands, computeDTypes);
  checkShapes(where, op.op, operands, attrs);
  checkAliases(where, spec, operands);
  if (!isCount(op.workspace.bytes, 0)) {
    throw new EngineError(`${where}: workspace has ${op.workspace.bytes} bytes, expected a whole number`);
  }
  if (op.workspace.bytes > 0) {
    checkPlace(`${where}: workspace`, "workspace", op.workspace.offset, op.workspace.bytes, program);
  }
}

function findOperand(where: string, written: string, index: number, output: boolean, program: Program): Operand {
  const name = plainName(written);
  const label = `${output ? "output" : "input"} ${name}`;
  if (index === -1) {
    if (name === written) throw new EngineError(`${where}: ${label} is absent, and it is not optional`);
    return { label, name, output, buffer: undefined };
  }
  const buffer = program.buffers[index];
  if (!isCount(index, 0) || !buffer) {
    throw new EngineError(`${where}: ${label} is buffer ${index}, expected 0 to ${program.buffers.length - 1}`);
  }
  return { label, name, output, buffer };
}

function checkAttrs(where: string, attrs: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(attrs)) {
    const fail = (expected: string) => {
      throw new EngineError(`${where}: attribute ${name} is ${value}, expected ${expected}`);
    };
    if (counts.includes(name) && !isCount(value, 1)) fail("a whole number from 1");
    if (switches.includes(name) && value !== 0 && value !== 1) fail("0 or 1");
    if (name === "stream" && !(isCount(value, 0) && value <= 0xffffffff)) fail("a whole number from 0 to 4294967295");
    if (name === "p" && !(value >= 0 && value < 1)) fail("at least 0 and below 1");
    if (!Number.isFinite(value)) fail("a finite number");
  }
  const { heads, kvHeads } = attrs;
  if (heads !== undefined && kvHeads !== undefined && heads % kvHeads !== 0) {
    throw new EngineError(`${where}: attribute heads is ${heads}, expected a multiple of kvHeads, ${kvHeads}`);
  }
}

function checkTogether(where: string, op: OpName, operands: readonly Operand[]): void {
  const pair = together[op];
  if (!pair) return;
  const [there, absent] = [true, false].map((wanted) =>
    operands.find(({ name, buffer }) => pair.includes(name) && (buffer !== undefined) === wanted),
  );
  if (there && absent) throw new EngineError(`${where}: ${absent.label} is absent, but ${there.label} is there`);
}

const floats: readonly FloatDType[] = ["f32", "bf16", "f16"];
const quantized = dtypes.filter(isQuantized);

function checkDTypes(where: string, op: OpName, operands: readonly Operand[], computeDTypes: readonly DType[]): void {
  let act: DType | undefined;
  for (const { label, name, buffer } of operands) {
    if (!buffer) continue;
    const wanted = (signatures[op][name] as string).split(" ")[0] as string;
    let allowed: readonly DType[] = [wanted as DType];
    if (wanted === "any") allowed = dtypes.filter((dtype) => !isQuantized(dtype));
    if (wanted === "float") allowed = floats;
    if (wanted === "float/quantized") allowed = [...floats, ...quantized];
    if (wanted === "act") allowed = act ? [act] : computeDTypes;
    if (wanted === "act/f32") allowed = [act ?? "f32", "f32"];
    if (!allowed.includes(buffer.dtype)) {
      const list = [...new Set(allowed)].join(" or ");
      throw new EngineError(`${where}: ${label} has dtype ${buffer.dtype}, expected ${list}`);
    }
    if (wanted === "act") act = buffer.dtype;
  }
  if (op !== "cast") return;
  const [x, y] = operands;
  if (x?.buffer && y?.buffer && isQuantized(x.buffer.dtype) && isQuantized(y.buffer.dtype)) {
    throw new EngineError(
      `${where}: ${y.label} has dtype ${y.buffer.dtype}, expected ${floats.join(" or ")}: ${x.label} is quantised too`,
    );
  }
}

function checkShapes(
  where: string,
  op: OpName,
  operands: readonly Operand[],
  attrs: Readonly<Record<string, number>>,
): void {
  const bound = new Map(Object.entries(attrs));
  let any: Shape | undefined;
  for (const { label, name, buffer } of operands) {
    if (!buffer) continue;
    const written = (signatures[op][name] as string).replace(/^\S+ \[|\]$/g, "");
    const sizes = written === "..." ? (any ??= buffer.shape).map(String) : written.split(", ");
    const expected = `[${sizes.map((size) => describeSize(size, bound)).join(", ")}]`;
    const fits =
      sizes.length === buffer.shape.length &&
      sizes.every((size, i) => bindSize(size, buffer.shape[i] as number, bound));
    if (!fits) throw new EngineError(`${where}: ${label} has shape ${show(buffer.shape)}, expected ${expected}`);
  }
  const [cols, dims] = [bound.get("C"), bound.get("D")];
  if (op === "rope" && cols !== undefined && dims !== undefined && 2 * cols > dims) {
    throw new EngineError(
      `${where}: input cos has ${cols} columns, expected at most half of a head's ${dims} dimensions`,
    );
  }
}

/** The value of a factor of a size: a number as written, or a name that is bound already. */
function factor(name: string, bound: ReadonlyMap<string, number>): number | undefined {
  return /^\d+$/.test(name) ? Number(name) : bound.get(name);
}

/** Whether an axis is what its size says; binds the one name that is still free, if there is one. */
function bindSize(size: string, actual: number, bound: Map<string, number>): boolean {
  const factors = size.split("*");
  const known = factors.reduce((product, name) => product * (factor(name, bound) ?? 1), 1);
  const free = factors.find((name) => factor(name, bound) === undefined);
  if (free === undefined) return actual === known;
  if (actual % known !== 0) return false;
  bound.set(free, actual / known);
  return true;
}

/** "4" when all of a size is known, else "N" or "2*D". */
function describeSize(size: string, bound: ReadonlyMap<string, number>): string {
  const factors = size.split("*").map((name) => factor(name, bound) ?? name);
  if (factors.some((value) => typeof value === "string")) return factors.join("*");
  return String(factors.reduce<number>((product, value) => product * Number(value), 1));
}

function checkAliases(where: string, spec: OpSpec, operands: readonly Operand[]): void {
  for (const output of operands) {
    if (!output.output || !output.buffer) continue;
    for (const other of operands) {
      if (other === output || !other.buffer || !overlap(output.buffer, other.buffer)) continue;
      const named = spec.inPlace?.some(([out, input]) => out === output.name && input === other.name) ?? false;
      if (!other.output && named && sameBytes(output.buffer, other.buffer)) continue;
      const rule = !named ? "which this op does not allow" : "but not with the same place and dtype";
      throw new EngineError(`${where}: ${output.label} shares memory with ${other.label}, ${rule}`);
    }
  }
}

function overlap(a: Buffer, b: Buffer): boolean {
  return a.arena === b.arena && a.offset < b.offset + bufferBytes(b) && b.offset < a.offset + bufferBytes(a);
}

function sameBytes(a: Buffer, b: Buffer): boolean {
  return a.offset === b.offset && a.dtype === b.dtype && bufferBytes(a) === bufferBytes(b);
}

function show(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}
