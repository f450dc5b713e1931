// Answers of the model while it trains: the prompts of the options from memory planned with the run, others as they are asked.
// What answers is handed in, because generation lies above training. Used by loop.ts.

import { totalBytes } from "../engine/index.js";
import type { Answer, MemoryBytes } from "./events.js";
import type { OpenSampler, ResolvedOptions, Sampler } from "./options.js";
import { megabytes } from "./refuse.js";

export class Sampling {
  #planned: OpenSampler | undefined;

  constructor(
    readonly sampler: Sampler | undefined,
    readonly options: Pick<ResolvedOptions, "samplePrompts" | "memoryBudget">,
  ) {}

  /** Whether the run samples by itself. */
  get isOpen(): boolean {
    return this.#planned !== undefined;
  }

  /** Bytes that the prompts of the options take; undefined where there are none. */
  async plan(): Promise<MemoryBytes | undefined> {
    const { samplePrompts } = this.options;
    return samplePrompts.length > 0 ? this.sampler?.plan(samplePrompts) : undefined;
  }

  /** Allocates what `plan` said. */
  async open(): Promise<void> {
    const { samplePrompts } = this.options;
    if (samplePrompts.length > 0) this.#planned = await this.sampler?.open(samplePrompts);
  }

  /**
   * @param prompts - @default those of the options
   * @param taken - Bytes of the run, which count towards its budget.
   * @throws RangeError when there are no prompts, nothing that answers, or no room for these prompts within the budget.
   */
  async answer(
    prompts: readonly string[] = this.options.samplePrompts,
    taken: number,
    signal: AbortSignal,
  ): Promise<readonly Answer[]> {
    if (prompts.length === 0)
      throw new RangeError("run: expected prompts to sample, or `samplePrompts` among the options");
    if (this.#planned && prompts.every((prompt) => this.options.samplePrompts.includes(prompt)))
      return this.#planned.answer(prompts, signal);
    if (!this.sampler)
      throw new RangeError("run: to sample needs a `sampler` among the options; `train` of the package brings one");
    this.#checkRoom(await this.sampler.plan(prompts), taken);
    const own = await this.sampler.open(prompts);
    try {
      return await own.answer(prompts, signal);
    } finally {
      await own.dispose();
    }
  }

  async dispose(): Promise<void> {
    await this.#planned?.dispose();
  }

  #checkRoom(wanted: MemoryBytes, taken: number): void {
    const { memoryBudget } = this.options;
    const free = (memoryBudget ?? Number.POSITIVE_INFINITY) - taken;
    if (totalBytes(wanted) <= free) return;
    throw new RangeError(
      `run: to sample these prompts takes ${megabytes(totalBytes(wanted))}, and ${megabytes(free)} of \`memoryBudget\` are free; ask shorter ones, or give them as \`samplePrompts\``,
    );
  }
}
