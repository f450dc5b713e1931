// `node setup.mjs`: brings a clone to the point where everything runs, and does nothing where nothing changed.
// Plain JavaScript, because it runs before anything is installed. What is set up stands in setup/parts.mjs.
//
//     --browser   also Debian's chromium, for the browser tests
//     --force     every part again

import { setUp } from "./setup/run.mjs";

const known = ["--browser", "--force"];
const unknown = process.argv.slice(2).filter((argument) => !known.includes(argument));
if (unknown.length > 0) {
  console.error(`setup.mjs: unknown option ${unknown.join(" ")}; expected ${known.join(" or ")}`);
  process.exit(2);
}
const ready = await setUp({ browser: process.argv.includes("--browser"), force: process.argv.includes("--force") });
process.exit(ready ? 0 : 1);
