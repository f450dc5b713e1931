// The model card beside the tutor's weights: what it is, how it was made, what was measured. Written by main.ts.

import { type ExamResult, percent } from "./exam.js";

export interface CardFacts {
  readonly result: ExamResult;
  readonly seconds: number;
  readonly parameters: number;
  readonly updates: number;
  readonly batchSize: number;
  readonly rows: number;
  readonly vocabulary: number;
  readonly dtype: string;
  readonly device: string;
}

/** README.md of the model folder. */
export function cardOf({
  result,
  seconds,
  parameters,
  updates,
  batchSize,
  rows,
  vocabulary,
  dtype,
  device,
}: CardFacts): string {
  const marks = result.marks.map(
    ({ about, asked, right }) => `| ${about} | ${asked} | ${right} | ${percent(right, asked)} |`,
  );
  return `# tiny-tutor

A Llama of ${(parameters / 1e6).toFixed(2)} million parameters that knows one little world: the colours of things, what animals say and eat, an invented
map, opposites, days and months, four families, sums up to twenty and a few tasks on lists of words. It reads questions in English and in
Chinese and **answers in English**. Notebook 01 teaches it to answer in Chinese.

It is made from nothing by \`npm run make:tiny-tutor\`, with this project's engine, on rows that \`notebooks/models/make/world\` writes. No
text of anybody else went into it. It knows nothing about the real world, and the map and the families are invented.

## How to ask

Template \`alpaca_short\`: \`### Instruction:\\n{question}\\n\\n### Response:\\n\`, greedy. The tokenizer has ${vocabulary} tokens: words, single digits,
single Chinese characters, and bytes for everything else.

## What was measured

Held-out questions: facts, sums and words in wordings they were never trained in, and lists that were never trained. Exactly right:
**${percent(result.right, result.asked)}** of ${result.asked}.

| kind | asked | right | |
| --- | ---: | ---: | ---: |
${marks.join("\n")}

Training: ${rows} rows, ${updates} updates of ${batchSize} rows, ${dtype} compute with f32 master weights, AdamW, cosine schedule;
${(seconds / 60).toFixed(1)} minutes in all (${device}).

## Licence

Apache-2.0, as the rest of the project.
`;
}
