// A strict reader of GGUF files, after the published format and not after the code that writes them. Throws at anything out of place.

export interface GgufFile {
  readonly settings: ReadonlyMap<string, unknown>;
  readonly tensors: ReadonlyMap<
    string,
    { readonly type: number; readonly shape: number[]; readonly values: Float32Array }
  >;
}

/** A half as a number, by its definition. */
function half(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

export function readGguf(bytes: Buffer): GgufFile {
  let at = 0;
  const take = (count: number) => {
    if (at + count > bytes.length) throw new Error("the file ends too early");
    at += count;
    return at - count;
  };
  const u32 = () => bytes.readUInt32LE(take(4));
  const u64 = () => Number(bytes.readBigUInt64LE(take(8)));
  const text = () => {
    const length = u64();
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(take(length), at));
  };
  const value = (type: number): unknown => {
    if (type === 4) return u32();
    if (type === 5) return bytes.readInt32LE(take(4));
    if (type === 6) return bytes.readFloatLE(take(4));
    if (type === 7) return [false, true][bytes[take(1)] as number];
    if (type === 8) return text();
    if (type !== 9) throw new Error(`a setting has type ${type}`);
    const inner = u32();
    return Array.from({ length: u64() }, () => value(inner));
  };
  if (bytes.toString("latin1", 0, 4) !== "GGUF") throw new Error("no GGUF");
  take(4);
  if (u32() !== 3) throw new Error("not version 3");
  const [tensorCount, settingCount] = [u64(), u64()];
  const settings = new Map<string, unknown>();
  for (let i = 0; i < settingCount; i++) {
    const key = text();
    if (!/^[a-z0-9_]+(\.[a-z0-9_]+)*$/.test(key) || settings.has(key)) throw new Error(`key ${key}`);
    settings.set(key, value(u32()));
  }
  const infos = Array.from({ length: tensorCount }, () => {
    const name = text();
    const shape = Array.from({ length: u32() }, u64).reverse();
    return { name, shape, type: u32(), offset: u64() };
  });
  const start = Math.ceil(at / 32) * 32;
  let end = 0;
  const tensors = new Map<string, { type: number; shape: number[]; values: Float32Array }>();
  for (const { name, shape, type, offset } of infos) {
    if (offset % 32 !== 0 || offset !== Math.ceil(end / 32) * 32 || name.length > 64) throw new Error(`tensor ${name}`);
    const count = shape.reduce((product, size) => product * size, 1);
    const values = new Float32Array(count);
    const from = start + offset;
    for (let i = 0; i < count; i++) {
      if (type === 0) values[i] = bytes.readFloatLE(from + 4 * i);
      else if (type === 1) values[i] = half(bytes.readUInt16LE(from + 2 * i));
      else if (type === 8) {
        const block = from + 34 * Math.floor(i / 32);
        values[i] = half(bytes.readUInt16LE(block)) * bytes.readInt8(block + 2 + (i % 32));
      } else throw new Error(`type ${type}`);
    }
    end = offset + (type === 0 ? 4 * count : type === 1 ? 2 * count : (count / 32) * 34);
    tensors.set(name, { type, shape, values });
  }
  if (bytes.length !== start + Math.ceil(end / 32) * 32) throw new Error("bytes are left over");
  return { settings, tensors };
}
