// Makes it safe to terminate JavaScript of this thread from the wire thread (wire/watchdog.ts).
// Terminated code runs no hooks, so Node.js up to 22 finds its stack of asynchronous contexts too deep and aborts the
// process ("Assertion failed: (env_->execution_async_id()) == (0)"). The stack is emptied just before, by an inspector
// request that V8 serves in the midst of the loop to be ended.

interface AsyncWrap {
  readonly clearAsyncIdStack?: () => void;
}

/** Milliseconds to wait for the request that follows; it is sent in the same moment. */
const patience = 1000;

/** @returns The flag by which the wire thread says that the termination itself has been asked for. */
export function prepareUnwind(): Int32Array {
  const asked = new Int32Array(new SharedArrayBuffer(4));
  const binding = (process as unknown as { binding(name: string): AsyncWrap }).binding("async_wrap");
  const unwind = () => {
    binding.clearAsyncIdStack?.();
    // No code of the cell may run between the two requests, as it would push contexts again.
    const until = performance.now() + patience;
    while (Atomics.load(asked, 0) === 0 && performance.now() < until);
  };
  Object.defineProperty(globalThis, Symbol.for("tunebook.unwind"), { value: unwind });
  return asked;
}
