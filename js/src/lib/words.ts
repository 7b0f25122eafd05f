/** Numbers and states as a person reads them. */

import type { Answer } from "./answer";

const TONES: Record<string, string> = { reconnecting: "warn", stopped: "stop", failed: "bad", done: "ok" };

const grouped = new Intl.NumberFormat("en-US");

/** "412 tokens"; nothing at all for none. */
export function tokens(count: number): string {
  return count > 0 ? `${grouped.format(count)} ${count === 1 ? "token" : "tokens"}` : "";
}

/** "6.2 s", "2 min 05 s". */
export function seconds(value: number): string {
  if (value < 99.95) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

/** Python's own words where there are some, else the status. */
export function stateWords(answer: Answer, stopping: boolean): string {
  if (stopping && !answer.final) return "stopping";
  const reasons = answer.status === "waiting" && answer.steps.size > 0;
  return answer.words || (reasons ? "reasoning" : answer.status);
}

export function tone(answer: Answer): string {
  return TONES[answer.status] ?? "";
}
