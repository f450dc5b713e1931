// The health certificate: what a run found out about its data, its schedule and its gradients before the first update.

import { describeFault, type ResidentWeights } from "../model/index.js";
import type { Tokenizer } from "../tokens/index.js";
import type { LayerChoice } from "./budget.js";
import { type Dataset, type EncodedRows, inTurns } from "./dataset.js";
import type { Finding } from "./events.js";
import type { ResolvedOptions } from "./options.js";

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
  let shown = "";
  for (let from = 0; first && from < first.ids.length; ) {
    let to = from;
    while (to < first.ids.length && first.trained[to] === first.trained[from]) to += 1;
    const text = tokenizer.decode(first.ids.slice(from, to), { skipSpecial: false });
    shown += first.trained[from] ? `⟦${text}⟧` : text;
    from = to;
  }
  return finding(
    "sample",
    "good",
    `row ${first?.row}, trained parts in ⟦⟧: ${shown.length > 600 ? `${shown.slice(0, 600)}…` : shown}`,
  );
}

/** What a memory budget costs. */
export function tellBudget(budget: number, choices: readonly LayerChoice[]): Finding {
  const count = (wanted: LayerChoice) => choices.filter((choice) => choice === wanted).length;
  const parts = [
    ...(count("layer") > 0 ? [`${count("layer")} wholly`] : []),
    ...(count("mlp") > 0 ? [`${count("mlp")} in their feed-forward`] : []),
  ];
  const cost =
    parts.length > 0 ? `of ${choices.length} layers, ${parts.join(" and ")} are computed again` : "all values are kept";
  return finding("memory", "good", `to stay within ${(budget / 1e6).toFixed(1)} MB, ${cost}`);
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
