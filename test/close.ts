// Comparison of numbers for every test: a NaN, an infinity out of place or a missing value fails. Judged by close.test.ts.

export interface Tolerance {
  /** Allowed difference, in units of the values. @default 0 */
  readonly absolute?: number;
  /** Allowed difference as a part of the expected value's size. @default 0 */
  readonly relative?: number;
}

/**
 * |actual - expected| <= absolute + relative * |expected|, value by value. An expected NaN is a broken oracle and fails too;
 * an expected infinity is met by the same infinity only.
 *
 * @param actual - A number or a list; both sides must have the same length.
 * @throws Error with how many values are out, and index, expected and actual of the first and of the worst.
 */
export function expectClose(
  actual: number | ArrayLike<number> | undefined,
  expected: number | ArrayLike<number>,
  { absolute = 0, relative = 0 }: Tolerance,
  what = "values",
): void {
  const [a, e] = [listOf(actual), listOf(expected)];
  if (a.length !== e.length) throw new Error(`${what}: expected ${e.length} values, got ${a.length}`);
  let [first, worst, worstBy, wrong] = [-1, -1, -1, 0];
  for (let i = 0; i < e.length; i++) {
    const by = excess(a[i], e[i], absolute, relative);
    if (by <= 0) continue;
    wrong += 1;
    if (first < 0) first = i;
    if (by > worstBy) [worst, worstBy] = [i, by];
  }
  if (wrong === 0) return;
  const at = (i: number) => `[${i}] expected ${e[i]}, got ${a[i]}`;
  throw new Error(
    `${what}: ${wrong} of ${e.length} differ by more than ${absolute} + ${relative} * |expected|; ` +
      `first ${at(first)}; worst ${at(worst)}`,
  );
}

function listOf(values: number | ArrayLike<number> | undefined): ArrayLike<number> {
  if (values === undefined) return [];
  return typeof values === "number" ? [values] : values;
}

/** By how much a value misses; 0 when it does not, Infinity for what no tolerance covers. */
function excess(actual: number | undefined, expected: number | undefined, absolute: number, relative: number): number {
  if (actual === undefined || expected === undefined || Number.isNaN(actual) || Number.isNaN(expected)) return Infinity;
  if (actual === expected) return 0;
  if (!Number.isFinite(actual) || !Number.isFinite(expected)) return Infinity;
  return Math.max(0, Math.abs(actual - expected) - (absolute + relative * Math.abs(expected)));
}
