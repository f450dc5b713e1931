// Calls between two threads over a MessagePort: a method name and plain data out, plain data or an error back.

import type { MessagePort } from "node:worker_threads";

interface Call {
  readonly id: number;
  readonly method: string;
  readonly params: unknown;
}

type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly failed: string };

export interface Caller<Methods> {
  call<Name extends keyof Methods & string>(
    method: Name,
    params: ParamsOf<Methods[Name]>,
  ): Promise<ValueOf<Methods[Name]>>;
}

type ParamsOf<Method> = Method extends (params: infer Params) => unknown ? Params : never;
type ValueOf<Method> = Method extends (params: never) => infer Value ? Awaited<Value> : never;

/** Rejects with the message of the error the other side threw. */
export function createCaller<Methods>(port: MessagePort): Caller<Methods> {
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  let last = 0;
  port.on("message", (answer: Answer) => {
    const call = waiting.get(answer.id);
    if (!call) return;
    waiting.delete(answer.id);
    if ("failed" in answer) call.reject(new Error(answer.failed));
    else call.resolve(answer.value);
  });
  return {
    call: (method, params) =>
      new Promise((resolve, reject) => {
        last += 1;
        waiting.set(last, { resolve: resolve as (value: unknown) => void, reject });
        port.postMessage({ id: last, method, params } satisfies Call);
      }),
  };
}

/** Answer calls on `port` with these methods. */
export function serve<Methods extends object>(port: MessagePort, methods: Methods): void {
  port.on("message", async ({ id, method, params }: Call) => {
    try {
      const value = await (methods as Record<string, (params: unknown) => unknown>)[method]?.(params);
      port.postMessage({ id, value } satisfies Answer);
    } catch (error) {
      port.postMessage({ id, failed: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  });
}
