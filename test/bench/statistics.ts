// Repeated measurements in a few numbers.

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** @throws RangeError when there are no values, or one is not a finite number. */
export function spread(values: readonly number[]): Spread {
  if (values.length === 0) throw new RangeError("spread: there are no values");
  const odd = values.find((value) => !Number.isFinite(value));
  if (odd !== undefined) throw new RangeError(`spread: expected finite numbers, got ${odd}`);
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
  return { median, least: sorted[0] as number, most: sorted[sorted.length - 1] as number };
}

/** How often as fast we are, pair by pair: measurements that were neighbours in time share the machine's mood. */
export function ratios(peerSeconds: readonly number[], ourSeconds: readonly number[]): Spread {
  if (peerSeconds.length !== ourSeconds.length) {
    throw new RangeError(`ratios: ${peerSeconds.length} measurements beside ${ourSeconds.length}, expected pairs`);
  }
  return spread(peerSeconds.map((seconds, i) => seconds / (ourSeconds[i] as number)));
}
