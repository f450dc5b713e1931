import { describe, expect, test } from "vitest";
import type { TrainEvent } from "../../src/train/events.js";
import { axisEnd, extent, ticks } from "../../src/widgets/axis.js";
import { formatBytes, formatRate, formatSeconds } from "../../src/widgets/format.js";
import { BUNDLE_BYTES, bundleOf, bundleWithPng, bytesOf } from "../../src/widgets/mime.js";
import { rasterize } from "../../src/widgets/png.js";
import { emptyRun, foldRuns, type RunState } from "../../src/widgets/state.js";
import { drawRun } from "../../src/widgets/svg.js";
import { escapeXml, textWidth, wrap } from "../../src/widgets/svg-text.js";
import { comparison, table } from "../../src/widgets/table.js";
import { planned, skipped, updated } from "./scripted-run.js";

const hostile = "<script>alert('x')</script> & \"q\" \u0000\u001b[31m ]]> \ud800 --";

function runWith(...events: TrainEvent[]): RunState {
  return foldRuns(emptyRun(), [planned(100), ...events]);
}

function sampled(tuned: string): TrainEvent {
  return { kind: "sampled", update: 2, seconds: 1, answers: [{ prompt: tuned, base: tuned, tuned }] };
}

/** What a kernel does with a cell's value. */
function displayed(value: object): Record<string, unknown> {
  return (value as Record<symbol, () => Record<string, unknown>>)[Symbol.for("Jupyter.display")]!();
}

/** Opening and closing tags in order; throws on what an XML parser would refuse at this level. */
function tagsOf(svg: string): string[] {
  const open: string[] = [];
  const seen: string[] = [];
  const rest = svg.replaceAll(
    /<(\/?)([a-zA-Z]+)((?:\s+[\w:-]+="[^"<&]*(?:&(?:amp|lt|gt|quot|#39);[^"<&]*)*")*)\s*(\/?)>/g,
    (_, close, name, _attributes, self) => {
      seen.push(name);
      if (close) expect(open.pop()).toBe(name);
      else if (!self) open.push(name);
      return "";
    },
  );
  expect(open).toEqual([]);
  expect(rest).not.toMatch(/[<>]/);
  expect(rest).not.toMatch(/&(?!amp;|lt;|gt;|quot;|#39;)/);
  return seen;
}

describe("the picture", () => {
  test("is well-formed and says what it shows, for screen readers too", () => {
    const { svg } = drawRun(runWith(updated(1, 2.5), updated(2, 1.25), sampled("天空是蓝色的。")));
    tagsOf(svg);
    expect(svg).toMatch(
      /^<svg [^>]*role="img" aria-label="Run r1 is running at update 2 of 100: loss 2.500 -&gt; 1.250/,
    );
    expect(svg).toContain("<title>Training run r1</title><desc>Run r1 is running");
    expect(svg).toContain("天空是蓝色的。");
  });

  test("what a model wrote stays text", () => {
    const { svg } = drawRun(
      runWith(updated(1, 2), sampled(hostile), { kind: "failed", update: 1, seconds: 1, message: hostile }),
    );
    const names = new Set(tagsOf(svg));
    expect([...names].sort()).toEqual(["desc", "g", "line", "path", "rect", "svg", "text", "title", "circle"].sort());
    expect(svg).toContain("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;");
    for (const control of ["\u0000", "\u001b"]) expect(svg).not.toContain(control);
  });

  test("has its place and its axes before the first number comes", () => {
    const before = drawRun(runWith());
    const after = drawRun(runWith(updated(1, 2.5)));
    expect(before.height).toBe(after.height);
    expect(before.svg).toContain("no update yet");
  });

  test("a loss that is not a number leaves a gap instead of a broken path", () => {
    const { svg } = drawRun(
      runWith(updated(1, 2), updated(2, 3), updated(3, Number.NaN), updated(4, 2), updated(5, 1)),
    );
    const path = /<path d="([^"]+)"/.exec(svg)![1]!;
    expect(path.match(/M/g)).toHaveLength(2);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  });

  test("a skipped update leaves a mark on the axis, named above, and the sentence says the scale", () => {
    const { svg } = drawRun(runWith(updated(1, 2), skipped(1, 65536), skipped(1, 32768), updated(2, 1)));
    expect(svg.match(/<path [^>]*fill="#a40e26"\/>/g)).toHaveLength(2); // one place, and the legend
    expect(svg).toContain(">skipped<");
    expect(svg).toMatch(/2 updates skipped \(the gradient of .* at 16384\); loss scale 16,384/);
    expect(drawRun(runWith(updated(1, 2), updated(2, 1))).svg).not.toContain(">skipped<");
  });

  test("one memory bar is the plan, the other what is held, on one scale", () => {
    const { svg } = drawRun(runWith(updated(1, 2, { activations: 18_000_000 })));
    const widths = [...svg.matchAll(/<rect x="[\d.]+" y="(24.5|46)" width="([\d.]+)" height="1[34]"/g)];
    const sum = (y: string) => widths.filter((m) => m[1] === y).reduce((total, m) => total + Number(m[2]), 0);
    expect(sum("24.5") / sum("46")).toBeCloseTo(20.4 / 29.4, 1); // millions of bytes planned and held
    expect(svg).toContain(">19.5 MiB<");
    expect(svg).toContain(">28.0 MiB<");
  });

  test("becomes a PNG of the promised size that is not blank", async () => {
    const picture = drawRun(runWith(updated(1, 2.5), updated(2, 1.25)));
    const png = Buffer.from(await rasterize(picture, 1));
    expect(png.subarray(1, 4).toString()).toBe("PNG");
    expect(png.readUInt32BE(16)).toBe(picture.width);
    expect(png.readUInt32BE(20)).toBe(picture.height);
    expect(png.length).toBeGreaterThan(5000);
  });
});

describe("the bundle", () => {
  test("carries data, picture and sentence, and alt text with sizes", async () => {
    const { data, metadata } = await bundleWithPng(runWith(updated(1, 2.5), updated(2, 1.25)));
    expect(Object.keys(data)).toEqual([
      "application/vnd.tunebook.run.v1+json",
      "image/svg+xml",
      "text/plain",
      "image/png",
    ]);
    expect(data["application/vnd.tunebook.run.v1+json"]).toMatchObject({
      runId: "r1",
      target: "tunebook.run",
      version: 1,
    });
    expect(metadata["image/png"]).toMatchObject({ alt: data["text/plain"], width: 760 });
    expect(Buffer.from(String(data["image/png"]), "base64").subarray(1, 4).toString()).toBe("PNG");
  });

  test.each([
    ["letters", "word ".repeat(2000)],
    ["Chinese", "天".repeat(5000)],
    ["control characters", "\u0001".repeat(5000)],
  ])("stays below its cap when a run of 20,000 updates says too much, in %s", async (_, text) => {
    const many = (length: number) => Array.from({ length });
    const state = runWith(
      {
        kind: "checked",
        update: 0,
        seconds: 0,
        findings: many(200).map(() => ({ check: "c", verdict: "warning", message: text })),
      },
      ...many(20_000).map((_, i) => updated(i + 1, 1 + Math.sin(i * 78.233) / 3)),
      ...many(3000).map(
        (_, i): TrainEvent => ({ kind: "evaluated", update: i, seconds: i, loss: Math.SQRT2, trainedTokens: 1 }),
      ),
      ...many(3000).map(
        (_, i): TrainEvent => ({ kind: "changed", update: i, seconds: i, controls: { learningRate: Math.PI / 1e5 } }),
      ),
      {
        kind: "sampled",
        update: 9,
        seconds: 9,
        answers: many(50).map(() => ({ prompt: text, base: text, tuned: text })),
      },
    );
    const { data } = await bundleWithPng(state);
    expect(bytesOf(data)).toBeLessThan(BUNDLE_BYTES);
    expect(data["image/svg+xml"]).toBeDefined();
    const saved = (data["application/vnd.tunebook.run.v1+json"] as { state: RunState }).state;
    expect(saved.series.seen).toBe(20_000);
    expect(JSON.parse(JSON.stringify(saved))).toEqual(saved);
  });

  test("the drawing for every second is made in a few milliseconds", () => {
    const state = runWith(...Array.from({ length: 2000 }, (_, i) => updated(i + 1, 1 + Math.sin(i) / 3)));
    const times = Array.from({ length: 20 }, () => {
      const from = performance.now();
      bundleOf(state);
      return performance.now() - from;
    }).sort((a, b) => a - b);
    expect(times[10]).toBeLessThan(20); // measured 2 to 4 ms; an event loop blocked 20 ms is felt
  });
});

describe("text in a drawing", () => {
  test("is escaped, and what XML cannot hold is replaced", () => {
    expect(escapeXml("a<b>&\"'\u0000\ud800😀")).toBe("a&lt;b&gt;&amp;&quot;&#39;\uFFFD\uFFFD😀");
  });

  test("wraps at spaces, between Chinese characters, and inside a word that is too long", () => {
    expect(wrap("one two three", textWidth("one two", 10), 10)).toEqual(["one two", "three"]);
    expect(wrap("天空是蓝色的", 30, 10)).toEqual(["天空是", "蓝色的"]);
    expect(wrap("aaaaaaaaaa", textWidth("aaaa", 10), 10)).toEqual(["aaaa", "aaaa", "aa"]);
    expect(wrap("a\n\nb", 100, 10)).toEqual(["a", "", "b"]);
    expect(wrap("", 100, 10)).toEqual([""]);
  });

  test("ends in an ellipsis when lines run out, and loses no letter before", () => {
    const text = "The sky is blue 因为瑞利散射 and the grass is green.";
    expect(wrap(text, 80, 10).join("").replaceAll(" ", "")).toBe(text.replaceAll(" ", ""));
    const cut = wrap(text, 80, 10, 2);
    expect(cut).toHaveLength(2);
    expect(cut[1]).toMatch(/…$/);
    for (const line of wrap(text, 80, 10)) expect(textWidth(line, 10)).toBeLessThanOrEqual(80);
  });
});

describe("numbers for people", () => {
  test("bytes, seconds and rates", () => {
    expect([0, 999, 1536, 5 * 1024 ** 2, 24 * 1024 ** 3].map(formatBytes)).toEqual([
      "0 B",
      "999 B",
      "1.50 KiB",
      "5.00 MiB",
      "24.0 GiB",
    ]);
    expect([0.5, 59.6, 83.4, 7260].map(formatSeconds)).toEqual(["0.5 s", "1 min 0 s", "1 min 23 s", "2 h 1 min"]);
    expect([3e-4, 1.5e-5, 0.1, 0].map(formatRate)).toEqual(["3e-4", "1.5e-5", "0.1", "0"]);
  });

  test("ticks are round and inside the axis", () => {
    expect(ticks(0, 100, 5)).toEqual([0, 20, 40, 60, 80, 100]);
    expect(ticks(0.31, 2.4, 5)).toEqual([0.5, 1, 1.5, 2]);
    expect(ticks(2, 2, 5)).toEqual([2]);
    expect(extent([null, 1, 3])).toEqual([0.9, 3.1]);
    expect(extent([])).toEqual([0, 1]);
  });
});

test("the axis of a long run grows with the curve in a few steps, and ends with the run", () => {
  const ends = Array.from({ length: 1000 }, (_, i) =>
    axisEnd(foldRuns(emptyRun(), [planned(1000), updated(i + 1, 1)])),
  );
  expect(ends[0]).toBe(32);
  expect(ends.at(-1)).toBe(1000);
  expect(new Set(ends).size).toBe(6);
  expect(ends.every((end, i) => end >= i + 1)).toBe(true);
  const stopped: TrainEvent = { kind: "stopped", update: 7, seconds: 1, reason: "asked" };
  expect(axisEnd(foldRuns(emptyRun(), [planned(1000), stopped]))).toBe(7);
});

describe("tables", () => {
  test("a cell is text, whatever a model wrote", () => {
    const html = String(displayed(comparison([{ prompt: "p", base: hostile, tuned: "蓝" }]))["text/html"]);
    tagsOf(html);
    expect(html).not.toContain("<script");
    expect(html).toContain("蓝");
  });

  test("objects become columns in order of appearance", () => {
    const rows = table([
      { a: 1, b: "x" },
      { b: "y", c: [1] },
    ]);
    expect(rows.columns).toEqual(["a", "b", "c"]);
    expect(rows.rows).toEqual([
      ["1", "x", ""],
      ["", "y", "[1]"],
    ]);
    expect(rows.toString()).toBe("a | b | c\n1 | x | \n | y | [1]");
  });
});
