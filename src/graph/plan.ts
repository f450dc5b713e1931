// Trace -> Program: every tensor gets its place in an arena, every arena its exact size, before anything is allocated.
//
// Values share memory by lifetime: an op's result may take over the buffer of an operand it is the last to read (where the op allows),
// and buffers that are never alive together overlap. Placement is greedy by size (Pisarchyk and Lee 2020, section 5.2).

import type { Device, ShapedOp } from "../engine/device.js";
import { bytesOf, type DType, type Shape } from "../engine/dtype.js";
import { plainName } from "../engine/operands.js";
import { type OpSpec, ops } from "../engine/ops.js";
import { align, type Buffer, type Category, categories, type Op, type Program } from "../engine/program.js";
import { type Lifetime, lifetimes } from "./lifetime.js";
import { type Place, ShapeError, type Tensor } from "./tensor.js";
import type { Trace } from "./trace.js";
import { atOnce, type Work } from "./turns.js";

/** Where a tensor that outlives a run was put. */
export interface Placement {
  readonly arena: Category;
  readonly offset: number;
  readonly dtype: DType;
  readonly shape: Shape;
}

export type Placements = ReadonlyMap<string, Placement>;

export interface Layout {
  readonly placements: Placements;
  readonly bytes: number;
}

/** Put tensors one after another into an arena, from `start` on. */
export function layOut(
  arena: Category,
  tensors: Iterable<{ readonly name: string; readonly dtype: DType; readonly shape: Shape }>,
  start = 0,
): Layout {
  const placements = new Map<string, Placement>();
  let bytes = align(start);
  for (const { name, dtype, shape } of tensors) {
    placements.set(name, { arena, offset: bytes, dtype, shape });
    bytes += align(bytesOf(dtype, shape));
  }
  return { placements, bytes };
}

export interface PlanOptions {
  readonly name: string;
  /** Asked for the scratch each op needs; nothing is allocated. */
  readonly device: Pick<Device, "workspaceBytes">;
  /** Places of the trained, frozen, gradient and state tensors, and of those inputs and outputs that several Programs share. */
  readonly placements: Placements;
  /** Bytes at the start of io that `placements` already uses. @default 0 */
  readonly ioStart?: number;
}

export interface PlannedProgram {
  readonly program: Program;
  /** @throws ShapeError when the Program has no such buffer. */
  find(name: string): Buffer;
}

const arenaOf: Readonly<Record<Place, Category>> = {
  input: "io",
  output: "io",
  frozen: "weights",
  trained: "trained",
  gradient: "gradients",
  state: "cache",
  value: "activations",
  scratch: "workspace",
};

/**
 * @throws ShapeError when a tensor that outlives the run has no placement, or one of another dtype or shape.
 */
export function planProgram(trace: Trace, options: PlanOptions): PlannedProgram {
  return atOnce(planning(trace, options));
}

/** The same in pieces. */
export function* planning(trace: Trace, { name, device, placements, ioStart = 0 }: PlanOptions): Work<PlannedProgram> {
  const workspace = trace.nodes.map((node) => align(device.workspaceBytes(shaped(node))));
  const offsets = new Map<Tensor, number>();
  const arenaBytes = Object.fromEntries(categories.map((category) => [category, 0])) as Record<Category, number>;
  const used = new Set<Tensor>();
  for (const node of trace.nodes) for (const tensor of [...node.inputs, ...node.outputs]) if (tensor) used.add(tensor);

  const put = (tensor: Tensor, offset: number) => {
    const arena = arenaOf[tensor.place];
    offsets.set(tensor, offset);
    arenaBytes[arena] = Math.max(arenaBytes[arena], offset + align(bytesOfTensor(tensor)));
  };
  yield;
  let io = align(ioStart);
  for (const tensor of used) {
    const placed = placements.get(tensor.name);
    if (placed) {
      checkPlacement(tensor, placed);
      put(tensor, placed.offset);
    } else if (tensor.place === "input" || tensor.place === "output") {
      put(tensor, io);
      io += align(bytesOfTensor(tensor));
    } else if (tensor.place !== "value" && tensor.place !== "scratch") {
      throw new ShapeError(`${name}: ${tensor.place} tensor "${tensor.name}" has no place`);
    }
  }
  trace.nodes.forEach((node, i) => {
    let scratch = workspace[i] as number;
    for (const tensor of node.outputs) {
      if (tensor?.place !== "scratch") continue;
      put(tensor, scratch);
      scratch += align(bytesOfTensor(tensor));
    }
    arenaBytes.workspace = Math.max(arenaBytes.workspace, scratch);
  });
  yield;
  for (const { tensors, offset } of yield* packValues(trace)) for (const tensor of tensors) put(tensor, offset);

  yield;
  const index = new Map<Tensor, number>();
  const buffers: Buffer[] = [];
  for (const tensor of used) {
    index.set(tensor, buffers.length);
    const { dtype, shape } = tensor;
    buffers.push({
      name: tensor.name,
      arena: arenaOf[tensor.place],
      offset: offsets.get(tensor) as number,
      dtype,
      shape,
    });
  }
  const places = (tensors: readonly (Tensor | undefined)[]) =>
    tensors.map((tensor) => (tensor ? (index.get(tensor) as number) : -1));
  const list: Op[] = trace.nodes.map((node, i) => ({
    op: node.op,
    inputs: places(node.inputs),
    outputs: places(node.outputs),
    attrs: node.attrs,
    workspace: { offset: 0, bytes: workspace[i] as number },
  }));
  const byName = new Map(buffers.map((buffer) => [buffer.name, buffer]));
  return {
    program: { name, arenaBytes, buffers, ops: list },
    find(wanted) {
      const buffer = byName.get(wanted);
      if (!buffer) throw new ShapeError(`${name}: no buffer named "${wanted}"`);
      return buffer;
    },
  };
}

function shaped(node: Trace["nodes"][number]): ShapedOp {
  return node;
}

function bytesOfTensor(tensor: Pick<Tensor, "dtype" | "shape">): number {
  return bytesOf(tensor.dtype, tensor.shape);
}

function checkPlacement(tensor: Tensor, placed: Placement): void {
  const arena = arenaOf[tensor.place];
  if (placed.arena === arena && placed.dtype === tensor.dtype && placed.shape.join() === tensor.shape.join()) return;
  throw new ShapeError(
    `"${tensor.name}" was placed in ${placed.arena} as ${placed.dtype} [${placed.shape.join(", ")}], the trace uses it in ${arena} as ${tensor.dtype} [${tensor.shape.join(", ")}]`,
  );
}

/** Values that share one buffer, from first to last op that touches one of them. */
interface Group {
  readonly tensors: Tensor[];
  readonly bytes: number;
  readonly first: number;
  last: number;
  offset: number;
}

/** Join results to the operands they may replace, then give each group the lowest place that is free for its whole life. */
function* packValues(trace: Trace): Work<readonly Group[]> {
  const lives = lifetimes(trace);
  const groupOf = new Map<Tensor, Group>();
  const groups: Group[] = [];
  trace.nodes.forEach((node, at) => {
    for (const tensor of [...node.outputs, ...node.inputs]) {
      const life = tensor && lives.get(tensor);
      if (!life || life.first !== at || groupOf.has(tensor)) continue;
      const heir = inherits(node, tensor, at, lives, groupOf);
      if (heir) {
        heir.tensors.push(tensor);
        heir.last = Math.max(heir.last, life.last);
        groupOf.set(tensor, heir);
      } else {
        const group = { tensors: [tensor], bytes: align(bytesOfTensor(tensor)), ...life, offset: 0 };
        groups.push(group);
        groupOf.set(tensor, group);
      }
    }
  });
  const placed: Group[] = [];
  for (const group of [...groups].sort((a, b) => b.bytes - a.bytes || a.first - b.first)) {
    yield;
    for (const other of placed) {
      // `placed` is ordered by offset: the first gap that is large enough wins.
      if (other.first > group.last || other.last < group.first) continue;
      if (group.offset + group.bytes <= other.offset) break;
      group.offset = Math.max(group.offset, other.offset + other.bytes);
    }
    let low = 0;
    let high = placed.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((placed[middle] as Group).offset <= group.offset) low = middle + 1;
      else high = middle;
    }
    placed.splice(low, 0, group);
  }
  return groups;
}

/** The group of an operand that ends at this op and that the op may overwrite with this result. */
function inherits(
  node: Trace["nodes"][number],
  result: Tensor,
  at: number,
  lives: ReadonlyMap<Tensor, Lifetime>,
  groupOf: ReadonlyMap<Tensor, Group>,
): Group | undefined {
  const spec: OpSpec = ops[node.op];
  const names = spec.inputs.map(plainName);
  const role = plainName(spec.outputs[node.outputs.indexOf(result)] ?? "");
  for (const [output, input] of spec.inPlace ?? []) {
    if (output !== role) continue;
    const operand = node.inputs[names.indexOf(input)];
    const group = operand && groupOf.get(operand);
    if (!group || lives.get(operand)?.last !== at || group.last !== at) continue;
    const mentions = node.inputs.filter((tensor) => tensor && groupOf.get(tensor) === group).length;
    if (mentions === 1 && bytesOfTensor(operand) === bytesOfTensor(result) && operand.dtype === result.dtype)
      return group;
  }
  return undefined;
}
