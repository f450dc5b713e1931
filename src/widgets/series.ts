// The numbers of a run over its updates, in columns, never longer than a screen can show. Filled by state.ts.

/** A measured value; null where it was NaN or infinite, so that JSON keeps what the run said. */
export type Sample = number | null;

/** Columns of equal length, one entry per kept update, in order. The first and the last update are always kept. */
export interface Series {
  /** Updates that were folded in; more than the columns hold once thinned. */
  readonly seen: number;
  readonly update: readonly number[];
  /** Seconds since the run began. */
  readonly seconds: readonly number[];
  /** Nats per trained token. */
  readonly loss: readonly Sample[];
  readonly learningRate: readonly Sample[];
  /** Global norm before clipping. */
  readonly gradientNorm: readonly Sample[];
  readonly tokensPerSecond: readonly Sample[];
}

export type SeriesRow = {
  readonly [name in Exclude<keyof Series, "seen">]: Series[name][number];
};

/** Most points a series holds; twice what a wide chart has pixels for. */
export const SERIES_POINTS = 2000;

export const emptySeries: Series = {
  seen: 0,
  update: [],
  seconds: [],
  loss: [],
  learningRate: [],
  gradientNorm: [],
  tokensPerSecond: [],
};

export function finite(value: number): Sample {
  return Number.isFinite(value) ? value : null;
}

/** The series with more updates. Columns thin to half before they would outgrow SERIES_POINTS; one by one or all at once is the same. */
export function appendRows(series: Series, rows: readonly SeriesRow[]): Series {
  let grown = copy(series);
  for (const row of rows) {
    if (grown.update.length === SERIES_POINTS) grown = copy(thin(grown, SERIES_POINTS / 2));
    grown.seen += 1;
    grown.update.push(row.update);
    grown.seconds.push(row.seconds);
    grown.loss.push(row.loss);
    grown.learningRate.push(row.learningRate);
    grown.gradientNorm.push(row.gradientNorm);
    grown.tokensPerSecond.push(row.tokensPerSecond);
  }
  return grown;
}

function copy(series: Series) {
  return {
    seen: series.seen,
    update: [...series.update],
    seconds: [...series.seconds],
    loss: [...series.loss],
    learningRate: [...series.learningRate],
    gradientNorm: [...series.gradientNorm],
    tokensPerSecond: [...series.tokensPerSecond],
  };
}

/**
 * At most `points` updates of the series: the first, the last, and the lowest and highest loss of equal stretches between.
 * Every kept entry was measured; nothing is averaged, and a spike stays. A loss that was not finite counts as the highest.
 * Stretches are equal in updates, not in entries, so that thinning again and again leaves the early run as dense as the late.
 *
 * @param points - At least 4.
 */
export function thin(series: Series, points: number): Series {
  const kept = keptIndices(series.update, series.loss, points);
  const pick = <T>(column: readonly T[]) => kept.map((i) => column[i]!);
  return {
    seen: series.seen,
    update: pick(series.update),
    seconds: pick(series.seconds),
    loss: pick(series.loss),
    learningRate: pick(series.learningRate),
    gradientNorm: pick(series.gradientNorm),
    tokensPerSecond: pick(series.tokensPerSecond),
  };
}

/**
 * Ascending indices, at most `points` (>= 4) of them; see thin.
 *
 * @param places - Where each value stands, ascending.
 */
export function keptIndices(places: readonly number[], values: readonly Sample[], points: number): number[] {
  const last = values.length - 1;
  if (values.length <= points) return values.map((_, i) => i);
  const stretches = Math.floor((points - 2) / 2);
  const width = (places[last]! - places[0]!) / stretches || 1;
  const stretchOf = (i: number) => Math.min(stretches - 1, Math.floor((places[i]! - places[0]!) / width));
  const height = (i: number) => values[i] ?? Number.POSITIVE_INFINITY;
  const kept = [0];
  for (let i = 1; i < last; ) {
    const stretch = stretchOf(i);
    let [low, high] = [i, i];
    for (; i < last && stretchOf(i) === stretch; i++) {
      if (height(i) < height(low)) low = i;
      if (height(i) > height(high)) high = i;
    }
    if (low === high) kept.push(low);
    else kept.push(Math.min(low, high), Math.max(low, high));
  }
  kept.push(last);
  return kept;
}
