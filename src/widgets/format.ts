// Numbers as people read them: bytes, durations, counts, losses. Used by every view of a run.

export { totalBytes } from "../engine/program.js";

const units = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** 1536 -> "1.50 KiB": three digits, binary units. */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return "n/a";
  let [value, unit] = [bytes, 0];
  while (Math.abs(value) >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${Math.round(value)} B` : `${value.toPrecision(3)} ${units[unit]}`;
}

/** 83.4 -> "1 min 23 s". */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return "n/a";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** 1234567 -> "1,234,567". */
export function formatCount(count: number): string {
  return Number.isFinite(count) ? Math.round(count).toLocaleString("en-US") : "n/a";
}

/** A loss or a norm: three digits after the first; what was not a number says so. */
export function formatValue(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "not finite";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000 || size < 0.001) return value.toExponential(2);
  return size >= 10 ? value.toFixed(2) : value.toFixed(3);
}

/** A learning rate as one would type it: 0.0003 -> "3e-4", 0.00015 -> "1.5e-4", 0.1 -> "0.1". */
export function formatRate(rate: number | null | undefined): string {
  if (rate === null || rate === undefined || !Number.isFinite(rate)) return "not finite";
  if (rate === 0 || Math.abs(rate) >= 0.01) return String(Number(rate.toPrecision(4)));
  return String(Number(rate.toPrecision(4)).toExponential());
}

/**
 * "24GB" -> 24e9 bytes. GB, MB and KB are powers of 1000; GiB, MiB and KiB of 1024.
 *
 * @throws RangeError when the text says no number of bytes.
 */
export function parseBytes(text: string): number {
  const [, count, unit] = /^\s*(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?\s*$/i.exec(text) ?? [];
  if (count === undefined) throw new RangeError(`expected bytes such as 24GB or 500MiB, got ${JSON.stringify(text)}`);
  const power = unit ? "KMGT".indexOf(unit.charAt(0).toUpperCase()) + 1 : 0;
  return Math.floor(Number(count) * (unit?.length === 2 ? 1024 : 1000) ** power);
}
