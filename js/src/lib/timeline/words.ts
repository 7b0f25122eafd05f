/** A snapshot as a person reads it: when it was kept, what changed, how big it is. */

import type { Entries } from "./entries";
import { tokens } from "../words";

const KINDS: Record<string, string> = { checkpoint: "in mid-run", named: "kept by hand" };

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const precise = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const year = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

/** "14:03:22, 22 Nov 2026". */
export function moment(ms: number): string {
  return `${precise.format(ms)}, ${year.format(ms)}`;
}

/** What is written below a column, where `before` is the moment of the last one: as much as is news. */
export function tick(ms: number, before: number | undefined): string {
  if (before === undefined || day.format(ms) !== day.format(before)) return `${day.format(ms)}, ${clock.format(ms)}`;
  if (clock.format(ms) !== clock.format(before)) return clock.format(ms);
  return precise.format(ms) === precise.format(before) ? "" : precise.format(ms);
}

/** "495 B", "1.2 kB", "3.4 MB". */
export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  return count < 1e6 ? `${(count / 1000).toFixed(1)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

export function dollars(usd: number): string {
  return usd > 0 ? `$${usd.toFixed(usd < 1 ? 4 : 2)}` : "";
}

export function short(id: string): string {
  return id.slice(0, 8);
}

/** "12 messages"; `tokens` has the grammar. */
export function messages(count: number): string {
  return tokens(count).replace("token", "message");
}

/** Its name or the agents of a pool's run, whose part in one it is, and what stands there. */
export function title(entries: Entries, column: number): string {
  const pool = entries.pools.get(column);
  const branch = entries.branches[entries.branch[column]!]!;
  const agent = column === branch.last ? branch.agent : "";
  return [entries.labels.get(column) || (pool && `pool: ${pool.agents}`), agent, entries.marks.get(column)]
    .filter(Boolean)
    .join(", ");
}

/** What is known of a snapshot, most telling first. */
export function facts(entries: Entries, column: number): string[] {
  const kind = entries.kinds[column]!;
  const level = entries.levels[column]!;
  const pool = entries.pools.get(column);
  const said = [
    KINDS[kind] ?? kind,
    messages(entries.added(column)) && `${messages(entries.added(column))} more`,
    bytes(entries.sizes[column]!),
    level ? `level ${level}` : "",
  ];
  return [
    entries.sessions[column]!,
    ...(pool ? ["pool", pool.figures] : said),
    dollars(entries.cost(column)),
    moment(entries.created[column]!),
  ].filter(Boolean);
}

/** A snapshot for a screen reader, which says itself the how manieth it is. */
export function spoken(entries: Entries, column: number): string {
  return [title(entries, column) || short(entries.ids[column]!), ...facts(entries, column)].join(", ");
}
