// What a run does, from reading the rows to saving the adapter. One update is in step.ts; the owner's view is run.ts.

import { createHash } from "node:crypto";
import path from "node:path";
import { performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import { totalBytes } from "../engine/index.js";
import type { Model, TrainedTensors } from "../model/index.js";
import type { Batch } from "../tokens/index.js";
import { certify, refuseUnsound } from "./certificate.js";
import { type Checkpoint, type CheckpointState, readCheckpoint, writeCheckpoint } from "./checkpoint.js";
import type { RunControl } from "./control.js";
import { type Dataset, encodeData } from "./dataset.js";
import { diagnose } from "./diagnose.js";
import type { Answer, TrainEvent } from "./events.js";
import { Feed, shapesOf } from "./feed.js";
import { planFastest } from "./fit.js";
import { openRunFolder, type RunPlace, runFiles, writeRunFile } from "./folder.js";
import { tellChoices } from "./health.js";
import type { EventLog } from "./log.js";
import { LossScaler } from "./loss-scaler.js";
import type { ResolvedOptions, TrainOptions } from "./options.js";
import { addBytes } from "./plan.js";
import { checkResumable, comparable, dividedBy } from "./resume.js";
import type { TrainResult } from "./run.js";
import { Sampling } from "./sampling.js";
import { rateFactor, type Schedule, warmupUpdates } from "./schedule.js";
import { Stepper } from "./step.js";

/** An event without what every event carries. */
type Told = TrainEvent extends infer E ? (E extends TrainEvent ? Omit<E, "update" | "seconds"> : never) : never;

/** What the updates of a run are made of. */
interface Parts {
  readonly stepper: Stepper;
  readonly feed: Feed;
  readonly data: Dataset;
}

export class Loop {
  readonly #trained: TrainedTensors;
  readonly #sampling: Sampling;
  #done = 0;
  #peak: number;
  #firstLoss: number | undefined;
  #lastLoss: number | undefined;
  #start = "";
  #secondsBefore = 0;
  #started = 0;
  #savedAt = -1;
  #planned = 0;

  /** All options with their values; `microBatchSize` has one from the plan on. */
  options: ResolvedOptions;
  /** In f16 only. */
  readonly #scaler: LossScaler | undefined;

  constructor(
    readonly model: Model,
    readonly given: TrainOptions,
    options: ResolvedOptions,
    readonly place: RunPlace,
    readonly log: EventLog,
    readonly control: RunControl,
  ) {
    this.options = options;
    this.#trained = model.trained as TrainedTensors;
    this.#peak = options.learningRate;
    if (model.dtype === "f16") this.#scaler = new LossScaler(options, this.#names);
    this.#sampling = new Sampling(given.sampler?.(model, options), options);
  }

  async run(started: number): Promise<TrainResult> {
    this.#started = started;
    const { model, control } = this;
    const { checkpoint, events } = await openRunFolder(this.place, comparable(this.options, model), this.given.resume);
    if (checkpoint)
      this.options = { ...this.options, microBatchSize: this.options.microBatchSize ?? dividedBy(checkpoint) };
    this.log.restore(events);
    this.#secondsBefore = events.at(-1)?.seconds ?? 0;
    this.#done = checkpoint?.state.update ?? 0;
    for (const event of events) if (event.kind === "updated") this.#lastLoss = event.loss;
    await this.log.openFile(path.join(this.place.folder, runFiles.events));

    const data = await this.#unlessStopped(() => encodeData(this.given, model, this.options, control.signal));
    if (!data) return this.#end(undefined, undefined);
    const sampling = await this.#sampling.plan();
    const plan = await planFastest(model, this.options, shapesOf(data, this.options), sampling);
    const planned = sampling ? addBytes(plan.bytes, sampling) : plan.bytes;
    this.#planned = totalBytes(planned);
    this.options = { ...this.options, microBatchSize: plan.microBatch };
    await writeRunFile(this.place, comparable(this.options, model));
    const feed = new Feed(data, this.options, model.tokenizer.pad);
    this.#tell({
      kind: "planned",
      runId: this.place.id,
      updates: feed.updates,
      rows: data.train.kept.length,
      validationRows: data.validation?.kept.length ?? 0,
      trainedParameters: this.#trained.parameterCount,
      memory: planned,
      memoryBudget: this.options.memoryBudget,
      microBatchSize: feed.microBatch,
      passes: feed.passes,
      recompute: tellChoices(plan.recompute),
      device: model.device.name,
      dtype: model.dtype,
      ...(model.quantize && { quantize: model.quantize }),
    });

    const stepper = Stepper.open(model, plan);
    const parts = { stepper, feed, data };
    try {
      await this.#sampling.open();
      this.#start = await hashOf(this.#trained);
      if (checkpoint) await this.#restore(checkpoint, stepper, data);
      const checked = await this.#unlessStopped(() => this.#check(parts, checkpoint !== undefined));
      if (checked) await this.#unlessStopped(() => this.#train(parts));
      return await this.#end(stepper, data);
    } finally {
      await this.#sampling.dispose();
      await stepper.dispose();
    }
  }

  /** Update after update, serving what is asked between two. */
  async #train(parts: Parts): Promise<true> {
    const { stepper, feed, data } = parts;
    const { options } = this;
    const warmup = warmupUpdates(options, feed.updates);
    const schedule = { scheduler: options.scheduler, updates: feed.updates, warmup };
    const evalEvery = options.evalSteps ?? feed.updatesPerEpoch;
    if (data.validation && this.#done === 0) await this.#evaluate(stepper, feed);
    for (const batches of feed.from(this.#done)) {
      const { seconds, ...made } = await this.#update(parts, batches, schedule);
      this.#done += 1;
      this.#firstLoss ??= made.loss;
      this.#lastLoss = made.loss;
      this.#tell({
        kind: "updated",
        ...made,
        tokensPerSecond: made.tokens / seconds,
        epoch: this.#done / feed.updatesPerEpoch,
        memory: this.model.device.allocated(),
      });
      await this.log.written();
      const last = this.#done === feed.updates;
      if (data.validation && (this.#done % evalEvery === 0 || last)) await this.#evaluate(stepper, feed);
      const due = last || (options.sampleSteps !== undefined && this.#done % options.sampleSteps === 0);
      if (this.#sampling.isOpen && due) await this.#sample();
      if (this.#done % options.saveSteps === 0 && !last) await this.#save(stepper, data);
    }
    await this.#serve(parts);
    return true;
  }

  /**
   * The next update. In f16 one whose gradients overflow changes nothing and is tried again at a lower scale: no row is lost, and the
   * optimizer's steps and the schedule count the updates that were made.
   */
  async #update(parts: Parts, batches: readonly Batch[], schedule: Schedule) {
    const { options, control } = this;
    const { stepper } = parts;
    for (;;) {
      await this.#serve(parts);
      control.signal.throwIfAborted();
      const learningRate = this.#peak * rateFactor(schedule, this.#done);
      const scale = this.#scaler?.scale;
      const uniforms = { learningRate, step: this.#done + 1, clipNorm: options.maxGradNorm, seed: options.seed };
      const began = performance.now();
      const result = await stepper.update(batches, uniforms, { scale, signal: control.signal });
      if (!Number.isFinite(result.loss)) await this.#fail(stepper, batches, result);
      if (Number.isFinite(result.gradientNorm)) {
        this.#scaler?.made();
        const seconds = (performance.now() - began) / 1000;
        return { ...result, learningRate, seconds, ...(scale === undefined ? {} : { lossScale: scale }) };
      }
      if (this.#scaler) await this.#skip(stepper, this.#scaler);
      else await this.#fail(stepper, batches, result);
    }
  }

  /** Tells of an update that was skipped. @throws RangeError when the scale is now too low to try it again */
  async #skip(stepper: Stepper, scaler: LossScaler): Promise<void> {
    const skipped = await scaler.skip(stepper, this.#done + 1);
    this.#tell(skipped);
    if (!scaler.exhausted) return;
    throw new RangeError(
      `train: update ${skipped.step} overflows however low the loss is scaled: ${skipped.reason}; ` +
        `load the model with \`dtype: "bf16"\`, which has the range of f32. Nothing was saved since update ${Math.max(0, this.#savedAt)}`,
    );
  }

  /** The last acts of a run: prove that it learned, save, tell how it ended. */
  async #end(stepper: Stepper | undefined, data: Dataset | undefined): Promise<TrainResult> {
    const reason = this.control.stopReason ?? "finished";
    const learned = stepper !== undefined && (await hashOf(this.#trained)) !== this.#start;
    if (!learned && reason === "finished") {
      throw new RangeError(
        `train: the run learned nothing: after ${this.#done} updates every trained tensor is as it was; nothing was saved, look at learningRate and warm-up`,
      );
    }
    let adapter: string | undefined;
    if (learned && data) {
      if (this.#savedAt !== this.#done) await this.#save(stepper, data);
      adapter = path.join(this.place.folder, runFiles.adapter);
      await this.#trained.save(adapter);
      this.#tell({ kind: "saved", folder: adapter, what: "adapter" });
    }
    this.#tell({ kind: "stopped", reason });
    await this.log.written();
    return {
      runId: this.place.id,
      reason,
      updates: this.#done,
      firstLoss: this.#firstLoss,
      lastLoss: this.#lastLoss,
      seconds: this.#seconds(),
      folder: this.place.folder,
      adapter,
    };
  }

  /** @throws RangeError when the health certificate refuses the run. */
  async #check({ stepper, feed, data }: Parts, resumed: boolean): Promise<true> {
    const findings = await certify({
      ...{ model: this.model, given: this.given, options: this.options, scaler: this.#scaler, done: this.#done },
      ...{ stepper, feed, data, resumed, signal: this.control.signal },
      fail: (batches, result) => this.#fail(stepper, batches, result),
    });
    this.#tell({ kind: "checked", findings });
    refuseUnsound(findings);
    return true;
  }

  /** What was asked since the last update; while paused, until the run goes on. */
  async #serve({ stepper, data }: Parts): Promise<void> {
    const { control } = this;
    let told = false;
    for (;;) {
      const controls = control.takeControls();
      if (controls) {
        this.#peak = controls.learningRate ?? this.#peak;
        this.#tell({ kind: "changed", controls });
      }
      for (const request of control.takeRequests()) {
        try {
          if (request.kind === "save") request.done(await this.#save(stepper, data));
          else request.done(await this.#sample(request.prompts));
        } catch (error) {
          request.failed(error);
          if (request.kind === "save" || control.signal.aborted) throw error;
        }
      }
      if (!control.paused) break;
      if (!told) this.#tell({ kind: "paused" });
      told = true;
      await control.change();
    }
    if (told && !control.stopReason) this.#tell({ kind: "resumed" });
  }

  async #sample(prompts?: readonly string[]): Promise<readonly Answer[]> {
    const answers = await this.#sampling.answer(prompts, this.#planned, this.control.signal);
    this.#tell({ kind: "sampled", answers });
    return answers;
  }

  async #evaluate(stepper: Stepper, feed: Feed): Promise<void> {
    const { sum, count } = await stepper.loss(feed.validation(), "tuned", this.control.signal);
    this.#tell({ kind: "evaluated", loss: sum / count, trainedTokens: count });
  }

  async #save(stepper: Stepper, data: Dataset): Promise<string> {
    const state: CheckpointState = {
      update: this.#done,
      learningRate: this.#peak,
      lossScale: this.#scaler?.state,
      firstLoss: this.#firstLoss,
      start: this.#start,
      data: data.fingerprint,
      options: comparable(this.options, this.model),
    };
    const folder = await writeCheckpoint(this.place.folder, state, await stepper.state(), this.options.saveTotalLimit);
    this.#savedAt = this.#done;
    this.#tell({ kind: "saved", folder, what: "checkpoint" });
    return folder;
  }

  async #restore(checkpoint: Checkpoint, stepper: Stepper, data: Dataset): Promise<void> {
    const { state } = checkpoint;
    checkResumable(checkpoint, comparable(this.options, this.model), data.fingerprint);
    const expected = this.#trained.list.map(({ name, shape }) => [name, shape] as const);
    await stepper.restore(await readCheckpoint(checkpoint, expected));
    this.#peak = state.learningRate;
    this.#scaler?.restore(state.lossScale);
    this.#firstLoss = state.firstLoss;
    this.#start = state.start;
    this.#savedAt = this.#done;
  }

  async #fail(
    stepper: Stepper,
    batches: readonly Batch[],
    { loss, gradientNorm }: { loss: number; gradientNorm: number },
  ): Promise<never> {
    const what = Number.isFinite(loss)
      ? `the gradient norm of update ${this.#done + 1} is ${gradientNorm}`
      : `the loss of update ${this.#done + 1} is ${loss}`;
    const cause = await diagnose(this.model, stepper, batches, Number.isFinite(loss));
    throw new RangeError(`train: ${what}: ${cause}. Nothing was saved since update ${Math.max(0, this.#savedAt)}`);
  }

  /** What `work` returns, or undefined when it ended because the run is to stop. */
  async #unlessStopped<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      this.control.signal.throwIfAborted();
      return await work();
    } catch (error) {
      if (this.control.signal.aborted && error === this.control.signal.reason) return undefined;
      throw error;
    }
  }

  get #names(): readonly string[] {
    return this.#trained.list.map(({ name }) => name);
  }

  #tell(event: Told): void {
    this.log.add({ ...event, update: this.#done, seconds: this.#seconds() } as TrainEvent);
  }

  #seconds(): number {
    return this.#secondsBefore + (performance.now() - this.#started) / 1000;
  }
}

async function hashOf(trained: TrainedTensors): Promise<string> {
  const hash = createHash("sha256");
  for (const { name } of trained.list) {
    hash.update(await trained.read(name));
    await setImmediate();
  }
  return hash.digest("hex");
}
