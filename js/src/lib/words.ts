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

/** Two decimals, or below ten cents two significant digits: "$1.20", "$0.04", "$0.0054"; nothing where it is not known. */
export function dollars(cost: number | null): string {
  if (cost === null) return "";
  if (cost >= 0.1 || cost <= 0) return `$${cost.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
  return cost < 1e-6 ? "under $0.000001" : `$${Number(cost.toPrecision(2))}`;
}

/** Python's own words where there are some, else the status. */
export function stateWords(answer: Answer, stopping: boolean): string {
  if (stopping && !answer.final) return "stopping";
  const reasons = answer.status === "waiting" && answer.steps.size > 0;
  return answer.words || (reasons ? "reasoning" : answer.status);
}

export function tone(answer: Answer): string {
  return answer.asks ? "warn" : (TONES[answer.status] ?? "");
}

/** "30 min left", "45 s left"; nothing where there is no limit. */
export function left(value: number | null): string {
  if (value === null) return "";
  if (value <= 0) return "time is up";
  return value >= 90 ? `${grouped.format(Math.round(value / 60))} min left` : `${Math.ceil(value)} s left`;
}

/** "42 lines, 1,234 characters": how much there is to read before one decides; nothing where all of it is seen. */
export function extent(text: string): string {
  const lines = text.split("\n").length;
  return `${grouped.format(lines)} ${lines === 1 ? "line" : "lines"}, ${grouped.format(text.length)} characters`;
}
