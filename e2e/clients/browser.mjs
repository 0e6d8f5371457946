// A headless Chromium (CHROMIUM, or /usr/bin/chromium).
import { chromium } from "playwright-core";

/** Starts it. Playwright gives it a new profile, and removes that at the end. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
