// Files of torch.save (.bin, .pt, .pth): a zip of storages and one pickle that says which tensors lie in them. Next to read: shards.ts.

import { type OpenFile, openBytes } from "./bytes.js";
import { CheckpointError } from "./error.js";
import { type StoredDType, storedBytesOf } from "./header.js";
import { PickleError, PickleGlobal, type PickleRules, type PickleValue, readPickle } from "./pickle.js";
import { extentOf, isRowMajor, type StridedInfo, type TensorFile, tensorFile } from "./tensors.js";
import { readZip, type ZipRecord } from "./zip.js";

const storages: Readonly<Record<string, StoredDType>> = {
  DoubleStorage: "F64",
  FloatStorage: "F32",
  BFloat16Storage: "BF16",
  HalfStorage: "F16",
  LongStorage: "I64",
  IntStorage: "I32",
  ShortStorage: "I16",
  CharStorage: "I8",
  ByteStorage: "U8",
  BoolStorage: "BOOL",
};

/** Everything else that a state dict may name; called or not, it makes what stands here and nothing more. */
const known = new Set([
  "collections.OrderedDict",
  "torch.Size",
  "torch._utils._rebuild_tensor",
  "torch._utils._rebuild_tensor_v2",
  "torch._utils._rebuild_parameter",
]);

/** A dict of this many pickled bytes would have millions of tensors. */
const MAX_PICKLE_BYTES = 64 << 20;

/** Bytes of one storage in the file; several tensors may look at it. */
class Storage {
  constructor(
    readonly dtype: StoredDType,
    readonly record: ZipRecord,
  ) {}
}

/** A tensor as the pickle describes it: elements of a storage, from `first` on. */
class View {
  constructor(
    readonly storage: Storage,
    readonly first: number,
    readonly sizes: readonly number[],
    readonly strides: readonly number[],
  ) {}
}

/**
 * Open a file that torch.save wrote: a state dict, or a dict that holds one as "state_dict", "model_state_dict", "model" or "module".
 * Nothing in the file is run. What a pickle may name is a short list, and a file that names anything else is refused.
 *
 * Tensors on any device are read; views may share a storage, start within it and have any strides.
 *
 * @param arrange - Other names and orders for what the file holds.
 * @throws CheckpointError when the file is truncated, a Git LFS pointer, in torch's format from before 1.6, big-endian, a program, or
 *   holds anything but tensors and plain values, naming it.
 */
export async function openTorch(
  file: string,
  arrange: (tensors: ReadonlyMap<string, StridedInfo>) => ReadonlyMap<string, StridedInfo> = (tensors) => tensors,
): Promise<TensorFile> {
  const opened = await openBytes(file);
  try {
    const records = await recordsOf(opened);
    const root = await readRoot(opened, records);
    return tensorFile(opened, arrange(tensorsOf(file, root)));
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** Records of the archive by their names within its one folder. */
async function recordsOf(file: OpenFile): Promise<ReadonlyMap<string, ZipRecord>> {
  const { path, head } = file;
  if (!(head[0] === 0x50 && head[1] === 0x4b)) {
    const isPickle = head[0] === 0x80 && (head[1] as number) >= 1 && (head[1] as number) <= 5;
    if (!isPickle) throw new CheckpointError(path, "this is no file of torch.save: it does not begin as a zip archive");
    throw new CheckpointError(
      path,
      `it has torch's format from before 1.6, or is a bare pickle, which is not read; convert it with: ${conversion(path)}`,
    );
  }
  const all = await readZip(file);
  const pickles = [...all.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length !== 1)
    throw new CheckpointError(
      path,
      `this is no file of torch.save: the archive has ${pickles.length} records data.pkl, expected one`,
    );
  const folder = (pickles[0] as string).slice(0, -"data.pkl".length);
  const records = new Map<string, ZipRecord>();
  for (const [name, record] of all) if (name.startsWith(folder)) records.set(name.slice(folder.length), record);
  if (records.has("constants.pkl"))
    throw new CheckpointError(path, "this is a TorchScript program, not weights: save its state_dict() instead");
  return records;
}

function conversion(file: string): string {
  const path = JSON.stringify(file);
  return `python -c 'import torch; torch.save(torch.load(${path}, map_location="cpu", weights_only=True), ${path})'`;
}

async function readRoot(file: OpenFile, records: ReadonlyMap<string, ZipRecord>): Promise<PickleValue> {
  const order = records.get("byteorder");
  if (order && order.bytes <= 16 && new TextDecoder().decode(await file.read(order.offset, order.bytes)) === "big")
    throw new CheckpointError(
      file.path,
      `it was written on a big-endian machine, which is not read; on a little-endian one, convert it with: ${conversion(file.path)}`,
    );
  const { offset, bytes } = records.get("data.pkl") as ZipRecord;
  if (bytes > MAX_PICKLE_BYTES)
    throw new CheckpointError(file.path, `its pickle has ${bytes} bytes, more than ${MAX_PICKLE_BYTES}: refused`);
  try {
    return readPickle(await file.read(offset, bytes), rulesFor(records));
  } catch (cause) {
    if (!(cause instanceof PickleError)) throw cause;
    throw new CheckpointError(file.path, cause.message, { cause });
  }
}

function rulesFor(records: ReadonlyMap<string, ZipRecord>): PickleRules {
  return {
    global(name) {
      const storage = name.startsWith("torch.") ? name.slice("torch.".length) : "";
      // torch.float16 and the like stand in dicts of settings: names without a value here.
      if (
        known.has(name) ||
        Object.hasOwn(storages, storage) ||
        /^torch\.(b?float|u?int|bool|double|half)\d*$/.test(name)
      )
        return new PickleGlobal(name);
      throw new PickleError(
        `it names ${JSON.stringify(name.slice(0, 200))}, which tensors do not need: refused, and nothing of the file was run; if you trust it, load it in Python and save its state_dict() alone`,
      );
    },
    call(global, args) {
      if (global.name === "collections.OrderedDict") return orderedDict(args);
      if (global.name === "torch.Size" && args.length === 1 && Array.isArray(args[0])) return args[0];
      if (global.name === "torch._utils._rebuild_tensor" || global.name === "torch._utils._rebuild_tensor_v2")
        return viewOf(args);
      if (global.name === "torch._utils._rebuild_parameter" && args[0] instanceof View) return args[0];
      throw new PickleError(`it calls ${JSON.stringify(global.name)} in a way that tensors do not need: refused`);
    },
    persistent(id) {
      const [word, type, key, , elements] = Array.isArray(id) ? (id as readonly PickleValue[]) : [];
      if (word !== "storage" || !(type instanceof PickleGlobal) || typeof key !== "string" || !isSize(elements))
        throw new PickleError("it points to something outside the pickle that is no storage");
      const dtype = storages[type.name.slice("torch.".length)];
      const record = records.get(`data/${key}`);
      if (!dtype) throw new PickleError(`storage "${key}" is a ${type.name}, which is not supported`);
      if (!record) throw new PickleError(`storage "${key}" is missing from the archive`);
      if (record.bytes !== elements * storedBytesOf[dtype])
        throw new PickleError(
          `storage "${key}" has ${record.bytes} bytes, but ${elements} elements of ${dtype} are said to be in it`,
        );
      return new Storage(dtype, record);
    },
  };
}

function orderedDict(args: readonly PickleValue[]): PickleValue {
  const pairs = (args[0] ?? []) as readonly (readonly [PickleValue, PickleValue])[];
  if (!Array.isArray(pairs) || !pairs.every((pair) => Array.isArray(pair) && pair.length === 2))
    throw new PickleError("an OrderedDict is made from something that is no list of pairs");
  return new Map(pairs);
}

/** The arguments of _rebuild_tensor: storage, first element, sizes, strides, and then what only training in Python needs. */
function viewOf([storage, first, sizes, strides]: readonly PickleValue[]): View {
  if (
    !(storage instanceof Storage) ||
    !isSize(first) ||
    !isSizes(sizes) ||
    !isSizes(strides) ||
    sizes.length !== strides.length
  )
    throw new PickleError("a tensor is described in a way that is not understood");
  const elements = storage.record.bytes / storedBytesOf[storage.dtype];
  const extent = extentOf(sizes, strides);
  if (!Number.isSafeInteger(sizes.reduce((product, size) => product * size, 8)) || !(first + extent <= elements))
    throw new PickleError(`a tensor [${sizes.join(", ")}] reaches beyond its storage of ${elements} elements`);
  return new View(storage, first, sizes, strides);
}

const wrappers = ["state_dict", "model_state_dict", "model", "module"];

function tensorsOf(file: string, root: PickleValue): ReadonlyMap<string, StridedInfo> {
  if (root instanceof View) return new Map([["tensor", infoOf(file, "tensor", root)]]);
  const dict = stateDict(file, root, 0);
  const tensors = new Map<string, StridedInfo>();
  for (const [name, value] of dict)
    if (value instanceof View && typeof name === "string") tensors.set(name, infoOf(file, name, value));
  return tensors;
}

/** The dict whose values are tensors: the root, or what a trainer's file has under one of the usual names. */
function stateDict(file: string, root: PickleValue, depth: number): ReadonlyMap<unknown, PickleValue> {
  if (!(root instanceof Map)) throw new CheckpointError(file, "expected a dict of tensors, it holds something else");
  const dict = root as ReadonlyMap<unknown, PickleValue>;
  if (dict.size === 0 || [...dict.values()].some((value) => value instanceof View)) return dict;
  const inner = wrappers.filter((name) => dict.get(name) instanceof Map);
  if (inner.length === 1 && depth < 2) return stateDict(file, dict.get(inner[0]) as PickleValue, depth + 1);
  const keys = [...dict.keys()].slice(0, 5).map((key) => (typeof key === "string" ? JSON.stringify(key) : typeof key));
  throw new CheckpointError(
    file,
    `expected tensors, or a dict of them as ${wrappers.map((name) => `"${name}"`).join(", ")}; it has ${keys.join(", ")}`,
  );
}

function infoOf(file: string, name: string, { storage, first, sizes, strides }: View): StridedInfo {
  const { dtype, record } = storage;
  const width = storedBytesOf[dtype];
  const bytes = sizes.reduce((product, size) => product * size, width);
  const info = { name, dtype, shape: sizes, file, offset: record.offset + first * width, bytes };
  return bytes === 0 || isRowMajor(sizes, strides) ? info : { ...info, walk: { sizes, strides } };
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every(isSize) && value.length <= 64;
}
