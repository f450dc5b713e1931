// The part of Python's pickle format that tensors need, read without running anything. Next to read: torch.ts, which names what it may make.

/** A global that a pickle names, such as torch.FloatStorage: only its name, never what Python would do with it. */
export class PickleGlobal {
  constructor(readonly name: string) {}
}

export type PickleKey = string | number | bigint | boolean | null | PickleValue;
export type PickleDict = Map<PickleKey, PickleValue>;
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PickleGlobal
  | PickleDict
  | readonly PickleValue[]
  | object;

/** What the reader of a kind of file allows its pickles to make. Each throws PickleError for what it does not know. */
export interface PickleRules {
  /** A name of a module and of something in it. */
  global(name: string): PickleGlobal;
  /** A call that the pickle asks for: nothing is called, the rule says what the result stands for. */
  call(global: PickleGlobal, args: readonly PickleValue[]): PickleValue;
  /** What lies beside the pickle. */
  persistent(id: PickleValue): PickleValue;
}

/** A pickle that was refused. torch.ts puts the file before the message. */
export class PickleError extends Error {
  override readonly name = "PickleError";
}

/** Marks the start of a tuple or of a row of items on the stack. */
const MARK = Symbol("mark");
type Slot = PickleValue | typeof MARK;

/**
 * Read a pickle, protocols 2 to 5. Every opcode does a bounded amount of work, so that time and memory are those of the file's bytes.
 * Lists and tuples both become arrays; a cycle stays a cycle.
 *
 * @throws PickleError when an opcode or a global is not among those that state dicts need, or the bytes do not hold.
 * @see https://github.com/python/cpython/blob/main/Lib/pickletools.py
 */
export function readPickle(bytes: Uint8Array, rules: PickleRules): PickleValue {
  try {
    return new PickleReader(bytes, rules).run();
  } catch (cause) {
    if (cause instanceof RangeError || cause instanceof TypeError) {
      throw new PickleError(`the pickle breaks off or is damaged (${cause.message})`, { cause });
    }
    throw cause;
  }
}

class PickleReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #rules: PickleRules;
  readonly #stack: Slot[] = [];
  readonly #memo = new Map<number, PickleValue>();
  #at = 0;

  constructor(bytes: Uint8Array, rules: PickleRules) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#rules = rules;
  }

  run(): PickleValue {
    for (;;) {
      const at = this.#at;
      const code = this.#byte();
      if (code === 0x2e) return this.#end(); // STOP
      const op = ops[code];
      if (!op)
        throw new PickleError(
          `opcode 0x${code.toString(16).padStart(2, "0")} at byte ${at} is not one that tensors need`,
        );
      op(this);
    }
  }

  #end(): PickleValue {
    const value = this.pop();
    if (this.#stack.length > 0) throw new PickleError("values are left over at the end of the pickle");
    return value;
  }

  #take(bytes: number): number {
    const at = this.#at;
    if (!(bytes <= this.#bytes.length - at))
      throw new PickleError("the pickle breaks off: the file is truncated or damaged");
    this.#at += bytes;
    return at;
  }

  #byte(): number {
    return this.#bytes[this.#take(1)] as number;
  }

  /** An unsigned little-endian integer. */
  uint(bytes: 1 | 2 | 4 | 8): number {
    const at = this.#take(bytes);
    if (bytes === 1) return this.#view.getUint8(at);
    if (bytes === 2) return this.#view.getUint16(at, true);
    return bytes === 4 ? this.#view.getUint32(at, true) : Number(this.#view.getBigUint64(at, true));
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  float64(): number {
    return this.#view.getFloat64(this.#take(8), false);
  }

  /** A signed integer of any length, as a number where it is exact. */
  long(): number | bigint {
    const length = this.uint(1);
    const at = this.#take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#bytes[at + i] as number);
    if (length > 0) value = BigInt.asIntN(8 * length, value);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  text(length: number, encoding = "utf-8"): string {
    const at = this.#take(length);
    return new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(this.#bytes.subarray(at, at + length));
  }

  line(): string {
    const end = this.#bytes.indexOf(10, this.#at);
    if (end < 0) throw new PickleError("the pickle breaks off: the file is truncated or damaged");
    const text = this.text(end - this.#at);
    this.#at += 1;
    return text;
  }

  skip(bytes: number): void {
    this.#take(bytes);
  }

  push(value: Slot): void {
    this.#stack.push(value);
  }

  pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined || value === MARK) throw new PickleError("the pickle takes a value that is not there");
    return value;
  }

  /** The value under those taken, left in place. */
  top(): PickleValue {
    const value = this.#stack.at(-1);
    if (value === undefined || value === MARK) throw new PickleError("the pickle takes a value that is not there");
    return value;
  }

  /** Everything above the last mark, and the mark itself. */
  popToMark(): PickleValue[] {
    const mark = this.#stack.lastIndexOf(MARK);
    if (mark < 0) throw new PickleError("the pickle goes back to a mark that is not there");
    return this.#stack.splice(mark).slice(1) as PickleValue[];
  }

  popMany(count: number): PickleValue[] {
    const values: PickleValue[] = [];
    for (let i = 0; i < count; i++) values.unshift(this.pop());
    return values;
  }

  remember(index: number): void {
    this.#memo.set(index, this.top());
  }

  get remembered(): number {
    return this.#memo.size;
  }

  recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw new PickleError(`the pickle recalls value ${index}, which it never kept`);
    this.push(value);
  }

  global(module: PickleValue, name: PickleValue): void {
    if (typeof module !== "string" || typeof name !== "string")
      throw new PickleError("a global has a name that is no text");
    this.push(this.#rules.global(`${module}.${name}`));
  }

  call(): void {
    const [global, args] = this.popMany(2);
    if (!(global instanceof PickleGlobal) || !Array.isArray(args))
      throw new PickleError("the pickle calls something that is no global");
    this.push(this.#rules.call(global, args as readonly PickleValue[]));
  }

  persistent(): void {
    this.push(this.#rules.persistent(this.pop()));
  }

  /** Attributes of a value. Only a dict may have them: those of a state dict are versions of modules, and no values. */
  attributes(): void {
    const state = this.pop();
    if (!(this.top() instanceof Map) || !(state instanceof Map))
      throw new PickleError("the pickle sets attributes of something that is no dict");
  }

  setItems(items: readonly PickleValue[]): void {
    const dict = this.top();
    if (!(dict instanceof Map) || items.length % 2 !== 0)
      throw new PickleError("the pickle sets items of something that is no dict");
    for (let i = 0; i < items.length; i += 2) dict.set(items[i] as PickleKey, items[i + 1] as PickleValue);
  }

  append(items: readonly PickleValue[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw new PickleError("the pickle appends to something that is no list");
    for (const item of items) (list as PickleValue[]).push(item);
  }
}

type Op = (pickle: PickleReader) => void;

/** By opcode. What is not here (INST, OBJ, NEWOBJ, EXT, BYTEARRAY, sets, buffers) no state dict needs. */
const ops: Readonly<Record<number, Op>> = {
  128: (pickle) => {
    const protocol = pickle.uint(1);
    if (protocol < 2 || protocol > 5)
      throw new PickleError(`pickle protocol ${protocol} is not supported (2 to 5 are)`);
  },
  149: (pickle) => pickle.skip(8), // FRAME: only a hint
  40: (pickle) => pickle.push(MARK),
  125: (pickle) => pickle.push(new Map()), // EMPTY_DICT
  93: (pickle) => pickle.push([]), // EMPTY_LIST
  41: (pickle) => pickle.push([]), // EMPTY_TUPLE
  116: (pickle) => pickle.push(pickle.popToMark()), // TUPLE
  133: (pickle) => pickle.push(pickle.popMany(1)),
  134: (pickle) => pickle.push(pickle.popMany(2)),
  135: (pickle) => pickle.push(pickle.popMany(3)),
  78: (pickle) => pickle.push(null), // NONE
  136: (pickle) => pickle.push(true),
  137: (pickle) => pickle.push(false),
  75: (pickle) => pickle.push(pickle.uint(1)), // BININT1
  77: (pickle) => pickle.push(pickle.uint(2)),
  74: (pickle) => pickle.push(pickle.int32()),
  138: (pickle) => pickle.push(pickle.long()), // LONG1
  71: (pickle) => pickle.push(pickle.float64()), // BINFLOAT
  88: (pickle) => pickle.push(pickle.text(pickle.uint(4))), // BINUNICODE
  140: (pickle) => pickle.push(pickle.text(pickle.uint(1))),
  141: (pickle) => pickle.push(pickle.text(pickle.uint(8))),
  85: (pickle) => pickle.push(pickle.text(pickle.uint(1), "latin1")), // SHORT_BINSTRING, of Python 2
  84: (pickle) => pickle.push(pickle.text(pickle.uint(4), "latin1")),
  99: (pickle) => pickle.global(pickle.line(), pickle.line()), // GLOBAL
  147: (pickle) => pickle.global(...(pickle.popMany(2) as [PickleValue, PickleValue])), // STACK_GLOBAL
  82: (pickle) => pickle.call(), // REDUCE
  81: (pickle) => pickle.persistent(), // BINPERSID
  98: (pickle) => pickle.attributes(), // BUILD
  113: (pickle) => pickle.remember(pickle.uint(1)), // BINPUT
  114: (pickle) => pickle.remember(pickle.uint(4)),
  148: (pickle) => pickle.remember(pickle.remembered), // MEMOIZE
  104: (pickle) => pickle.recall(pickle.uint(1)), // BINGET
  106: (pickle) => pickle.recall(pickle.uint(4)),
  115: (pickle) => pickle.setItems(pickle.popMany(2)), // SETITEM
  117: (pickle) => pickle.setItems(pickle.popToMark()),
  97: (pickle) => pickle.append(pickle.popMany(1)), // APPEND
  101: (pickle) => pickle.append(pickle.popToMark()),
};
