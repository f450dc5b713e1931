// Warnings of Node.js about what the kernel itself does: no reader of a notebook can act on them.

const own = /USE_MAIN_CONTEXT_DEFAULT_LOADER|Importing JSON modules|process\.binding\('async_wrap'\)/;

export function silenceOwnWarnings(): void {
  const emit = process.emitWarning.bind(process) as (...args: unknown[]) => void;
  process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
    if (!own.test(String(warning))) emit(warning, ...rest);
  }) as typeof process.emitWarning;
}
