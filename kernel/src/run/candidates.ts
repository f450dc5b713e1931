// Which files a relative import may mean, best first. TypeScript writes "./dep.js" for a file named dep.ts.

const endings = [".ts", ".mts", ".js", ".mjs", ".json", "/index.ts", "/index.js"];

export function candidates(path: string): string[] {
  const swapped = path.replace(/\.([mc]?)js$/, ".$1ts");
  return [path, ...(swapped === path ? [] : [swapped]), ...endings.map((ending) => path + ending)];
}
