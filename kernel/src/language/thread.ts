// The thread of the TypeScript compiler. The main thread asks it to compile, the wire thread to complete and inspect,
// so that neither a long check stops a widget nor a busy cell the completion.

import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import ts from "typescript";
import { serve } from "../wire/rpc.js";
import { complete, inspect, isComplete } from "./assist.js";
import { Language } from "./language.js";
import type { LanguageMethods, LanguageStart } from "./methods.js";

const { folder, ports } = workerData as LanguageStart;
const language = new Language(folder);

const methods: LanguageMethods = {
  compile: (params) => language.compile(params),
  forget: ({ names }) => language.forget(names),
  complete: (params) => complete(language, params),
  inspect: (params) => inspect(language, params),
  isComplete: ({ code }) => isComplete(code),
  transpile: ({ path, code }) =>
    ts.transpileModule(code, {
      fileName: path,
      compilerOptions: {
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.ESNext,
        inlineSourceMap: true,
        inlineSources: true,
      },
    }).outputText,
};

for (const port of ports) serve(port, methods);
// The loader of local modules gets a line of its own when a cell first imports one.
parentPort?.on("message", (port: MessagePort) => serve(port, methods));

// Read the standard library now, while nobody waits.
language.compile({ cell: 0, code: "console.log(0)", typecheck: "error", keep: false });
