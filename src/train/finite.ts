// Finds numbers that must not be trained with, nor reach a file.

/** Index of the first NaN or infinity; undefined when all are finite. */
export function firstNonFinite(values: Float32Array | Float64Array): number | undefined {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return i;
  return undefined;
}
