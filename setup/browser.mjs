// The browser of the tests and a font with Chinese letters: found, or installed from Debian where that is allowed,
// or said to be absent. Neither is needed to train.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { filesUnder } from "./fingerprint.mjs";
import { firstLine } from "./prerequisites.mjs";

const browsers = [
  process.env.TUNEBOOK_CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];

/** Whether this is continuous integration, where the browser tests must run. */
export const isCi = !["", "0", "false"].includes(process.env.CI ?? "");

/** Path of the browser the tests run in, or undefined. */
export function findBrowser() {
  return browsers.find((path) => path && existsSync(path));
}

const fontFolders = [
  "/usr/share/fonts",
  "/usr/local/share/fonts",
  join(process.env.HOME ?? "/", ".local/share/fonts"),
  join(process.env.HOME ?? "/", ".fonts"),
];

/** Whether a font with Chinese letters is installed, by the names such fonts have. */
export function hasChineseFont() {
  const name = /CJK|NotoSans(SC|TC|HK)|SourceHan|DroidSansFallback|wqy|uming|ukai/i;
  return fontFolders.flatMap(filesUnder).some((file) => name.test(file));
}

/** How a Debian package can be installed here without asking anybody: the command's first words, or undefined. */
function installer() {
  if (!existsSync("/usr/bin/apt-get") || !/^ID=debian$/m.test(readFileSync("/etc/os-release", "utf8")))
    return undefined;
  if (process.getuid?.() === 0) return ["env"];
  return firstLine("sudo", "-n", "true") === undefined ? undefined : ["sudo", "-n", "env"];
}

/** Install Debian packages. @returns undefined when it worked, else the reason in a few words. */
async function install(names, command) {
  const prefix = installer();
  if (!prefix) return "not Debian, or neither root nor sudo without a password";
  const apt = [...prefix, "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"];
  try {
    await command(...apt, "update");
    await command(...apt, "install", "-y", "--no-install-recommends", ...names);
    return undefined;
  } catch (error) {
    return error.message.split("\n").at(-1);
  }
}

/**
 * Look for what the tests and the pictures want of the system.
 *
 * A font that could not be installed is tried again only when the set-up is forced or CI is set: `state.font` remembers.
 *
 * @returns false only when CI is set, a browser was asked for and there is none.
 */
export async function systemPackages({ browser, state, command }) {
  const wanted = [];
  if (browser && !findBrowser()) wanted.push("chromium");
  if (!hasChineseFont() && (isCi || browser || state.font !== "absent")) wanted.push("fonts-noto-cjk");
  // Only CI tests the kernels of a processor that the machine does not have; elsewhere those tests say what they lack.
  if (isCi && browser && process.arch === "x64") {
    if (firstLine("aarch64-linux-gnu-g++", "--version") === undefined) wanted.push("g++-aarch64-linux-gnu");
    if (firstLine("qemu-aarch64", "--version") === undefined) wanted.push("qemu-user");
  }
  if (wanted.length > 0) {
    const since = Date.now();
    const reason = await install(wanted, command);
    const took = `${((Date.now() - since) / 1000).toFixed(1)} s`;
    console.error(
      reason
        ? `  system     could not install ${wanted.join(", ")}: ${reason}`
        : `  system     ${wanted.join(", ")}  ${took}`,
    );
  }
  state.font = hasChineseFont() ? "there" : "absent";
  if (state.font === "absent")
    console.error("  no font with Chinese letters: pictures show boxes for them (apt-get install fonts-noto-cjk)");
  if (!browser || findBrowser()) return true;
  if (isCi) {
    console.error("  no chromium, and CI needs the browser tests: apt-get install chromium, or set TUNEBOOK_CHROMIUM");
    return false;
  }
  console.error("  no chromium: the browser tests are skipped (apt-get install chromium, or set TUNEBOOK_CHROMIUM)");
  return true;
}
