// The health certificate: what a run found out about its data, its schedule and its gradients before the first update.

import { describeFault, type ResidentWeights } from "../model/index.js";
import type { Tokenizer } from "../tokens/index.js";
import { type Dataset, type EncodedRows, inTurns } from "./dataset.js";
import type { Finding, Recompute } from "./events.js";
import type { Feed } from "./feed.js";
import { countChoices } from "./layers.js";
import type { ResolvedOptions } from "./options.js";
import type { RunPlan } from "./plan.js";
import { megabytes } from "./refuse.js";

const finding = (check: string, verdict: Finding["verdict"], message: string): Finding => ({ check, verdict, message });

/** What can be said of the data. */
export async function checkData(
  { train, validation }: Dataset,
  tokenizer: Tokenizer,
  options: ResolvedOptions,
): Promise<Finding[]> {
  const findings = [checkRows(train, options), ...(await checkTokens(train, tokenizer)), showSample(train, tokenizer)];
  if (validation) {
    const [held, taught] = [validation.kept.length, train.kept.length];
    findings.push(
      finding(
        "validation",
        held < taught ? "good" : "warning",
        `${held} rows to evaluate on, ${taught} to train on${held < taught ? "" : ": fewer to train on than to evaluate on"}`,
      ),
    );
  }
  return findings;
}

function checkRows({ kept, count, dropped, cut }: EncodedRows, { maxTokens }: ResolvedOptions): Finding {
  const first = `${dropped.slice(0, 5).join(", ")}${dropped.length > 5 ? ", ..." : ""}`;
  const parts = [`${count} rows read, ${kept.length} to train on`];
  if (dropped.length > 0) parts.push(`${dropped.length} dropped because no token of theirs is trained (rows ${first})`);
  if (cut > 0) parts.push(`${cut} cut at maxTokens ${maxTokens}`);
  return finding("rows", dropped.length + cut > 0 ? "warning" : "good", parts.join("; "));
}

/** How much of the data teaches, and whether it teaches to end an answer. */
async function checkTokens({ kept }: EncodedRows, { eos }: Tokenizer): Promise<Finding[]> {
  let [tokens, trained, longest, ends] = [0, 0, 0, 0];
  const counted = inTurns(kept, (row) => row.trained.reduce((count, is) => count + (is ? 1 : 0), 0));
  for await (const count of counted) trained += count;
  for (const { ids, trained: marks } of kept) {
    tokens += ids.length;
    longest = Math.max(longest, ids.length);
    if (eos !== undefined && ids.at(-1) === eos && marks.at(-1) === true) ends += 1;
  }
  const share = `${((100 * trained) / tokens).toFixed(1)} %`;
  const mean = (tokens / kept.length).toFixed(0);
  const lost = "answers will not know where to stop";
  return [
    finding(
      "trained tokens",
      "good",
      `${trained} of ${tokens} tokens are trained (${share}); rows have ${mean} tokens on average, at most ${longest}`,
    ),
    eos === undefined
      ? finding("end mark", "warning", `the tokenizer has no end mark, so ${lost}`)
      : finding(
          "end mark",
          ends > 0 ? "good" : "warning",
          `${ends} of ${kept.length} rows train the end mark${ends > 0 ? "" : `: ${lost}`}`,
        ),
  ];
}

/** Whether the base holds numbers that no one can compute with, by tensor. */
export function checkWeights({ specs, faults }: ResidentWeights): Finding {
  if (faults.length === 0) return finding("weights", "good", `all ${specs.size} tensors of the base are finite`);
  const named = faults.slice(0, 3).map(describeFault).join("; ");
  const more = faults.length > 3 ? `; so do ${faults.length - 3} other tensors` : "";
  return finding("weights", "refused", `the base weight ${named}${more}; load the model from a sound file`);
}

/** The first row as text, trained parts between ⟦ and ⟧. */
function showSample({ kept }: EncodedRows, tokenizer: Tokenizer): Finding {
  const first = kept[0];
  const decode = (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecial: false });
  let shown = first?.source ? `${decode(first.source)} → ` : "";
  for (let from = 0; first && from < first.ids.length; ) {
    let to = from;
    while (to < first.ids.length && first.trained[to] === first.trained[from]) to += 1;
    const text = decode(first.ids.slice(from, to));
    shown += first.trained[from] ? `⟦${text}⟧` : text;
    from = to;
  }
  return finding(
    "sample",
    "good",
    `row ${first?.row}, trained parts in ⟦⟧: ${shown.length > 600 ? `${shown.slice(0, 600)}…` : shown}`,
  );
}

/** How many layers compute what again, for each shape of batch. */
export function tellChoices(recompute: RunPlan["recompute"]): readonly Recompute[] {
  return [...recompute].map(([key, choices]) => {
    const [batch, seq] = key.split("x").map(Number) as [number, number];
    return { batch, seq, ...countChoices(choices) };
  });
}

/** What a memory budget costs. */
export function tellBudget(budget: number, { microBatch, passes }: Feed, { recompute }: RunPlan): Finding {
  const told = tellChoices(recompute).filter(({ mlp, layer }) => mlp + layer > 0);
  const all = told.length === recompute.size ? "batches" : `${told.length} of ${recompute.size} shapes of batches`;
  const most = told.reduce((a, b) => (b.batch * b.seq > a.batch * a.seq ? b : a), told[0] as Recompute);
  const parts = most && [
    ...(most.layer > 0 ? [`${most.layer} wholly`] : []),
    ...(most.mlp > 0 ? [`${most.mlp} in their feed-forward`] : []),
  ];
  const cost = most
    ? `${all} compute layers again: at most, of ${most.keep + most.mlp + most.layer} layers, ${parts.join(" and ")}`
    : "all values are kept";
  const rows = `${microBatch} ${microBatch === 1 ? "row goes" : "rows go"} through the model at once, ${passes} ${passes === 1 ? "pass" : "passes"} an update`;
  return finding("memory", "good", `to stay within ${megabytes(budget)}, ${rows}; ${cost}`);
}

/** Whether the learning rate gets anywhere. */
export function checkWarmup(warmup: number, updates: number): Finding {
  if (warmup < updates) return finding("warm-up", "good", `${warmup} of ${updates} updates`);
  const peak = ((100 * Math.max(0, updates - 1)) / Math.max(1, warmup)).toFixed(0);
  return finding(
    "warm-up",
    "warning",
    `${warmup} updates of warm-up, but the run has ${updates}: it ends at ${peak} % of the learning rate; set warmupRatio instead`,
  );
}

/**
 * Whether the loss is scaled as it should be.
 *
 * @param scale - What the run begins with, in f16; undefined otherwise.
 * @param fits - The first scale from there down at which no gradient of the first batch overflows.
 */
export function checkLossScale(
  given: Readonly<Record<string, unknown>>,
  dtype: string,
  scale: number | undefined,
  fits: number | undefined,
): Finding {
  const check = "loss scale";
  if (scale === undefined || fits === undefined) {
    const unused = Object.keys(given).filter((name) => name.startsWith("lossScale") && given[name] !== undefined);
    if (unused.length === 0) return finding(check, "good", `none: ${dtype} holds small gradients`);
    return finding(check, "warning", `${unused.join(", ")} have no effect: the model computes in ${dtype}, not in f16`);
  }
  if (fits === scale) return finding(check, "good", `${scale}, at which no gradient of the first batch overflows`);
  return finding(
    check,
    "warning",
    `${scale}, but gradients of the first batch overflow down to ${fits}: the first updates will be skipped until the scale is there`,
  );
}

/**
 * Whether each trained tensor gets a gradient. One that is zero is expected behind a partner that starts at zero,
 * as an adapter's first matrix does, as long as that partner gets one.
 */
export function checkGradients(names: readonly string[], norms: readonly number[]): Finding {
  const bad = norms.findIndex((norm) => !Number.isFinite(norm));
  if (bad >= 0)
    return finding("gradients", "refused", `the gradient of "${names[bad]}" is not finite on the first batch`);
  const zero = norms.filter((norm) => norm === 0).length;
  if (zero === norms.length) {
    return finding(
      "gradients",
      "refused",
      `no trained tensor gets a gradient on the first batch, such as "${names[0]}": the run would learn nothing`,
    );
  }
  const still =
    zero === 0
      ? ""
      : `; ${zero} are still zero, such as "${names[norms.indexOf(0)]}", as is normal while a partner they are multiplied with is`;
  return finding(
    "gradients",
    "good",
    `all ${norms.length} trained tensors get a finite gradient on the first batch${still}`,
  );
}

/** Whether the model answers as its base before the first update. */
export function checkStart(tuned: number, base: number): Finding {
  if (tuned === base)
    return finding("start", "good", `the model starts as its base: loss ${base.toFixed(4)} on the first batch`);
  const values = `loss ${tuned.toFixed(4)} on the first batch, the base has ${base.toFixed(4)}`;
  return finding(
    "start",
    Number.isFinite(tuned) ? "warning" : "refused",
    `the model does not start as its base: ${values}; it was trained before`,
  );
}
