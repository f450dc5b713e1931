// Which row of T5's table of numbers each distance between query and key takes.

/**
 * Bucket of every distance (key's place minus the query's) from -maxDistance to maxDistance; beyond, the ends hold.
 *
 *     result [2 * maxDistance + 1] i32, the middle one for distance 0
 *
 * Half of a direction's buckets are single distances, the others widen with the logarithm up to maxDistance. With `bothWays` keys behind
 * the query have the first half of all buckets and keys ahead the second; without, keys ahead count as distance 0. The logarithm is
 * rounded to f32 at each step, as the published code does.
 *
 * @see Raffel et al. 2020, section 2.1, https://arxiv.org/abs/1910.10683
 */
export function distanceBuckets({
  buckets,
  maxDistance,
  bothWays,
}: {
  readonly buckets: number;
  readonly maxDistance: number;
  readonly bothWays: boolean;
}): Int32Array {
  const count = bothWays ? buckets / 2 : buckets;
  const exact = count / 2;
  const bucketOf = (steps: number) => {
    if (steps < exact) return steps;
    const share = Math.fround(Math.fround(Math.log(steps / exact)) / Math.log(maxDistance / exact));
    return Math.min(exact + Math.floor(Math.fround(share * (count - exact))), count - 1);
  };
  return Int32Array.from({ length: 2 * maxDistance + 1 }, (_, i) => {
    const ahead = i - maxDistance;
    if (bothWays) return bucketOf(Math.abs(ahead)) + (ahead > 0 ? count : 0);
    return bucketOf(Math.max(-ahead, 0));
  });
}
