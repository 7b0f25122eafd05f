/** Where a key leads from a snapshot: along its branch, to another branch, or to an end. */

import type { Entries } from "./entries";
import { NONE } from "./entries";

const PAGE = 20; // snapshots
const NEAR = 48; // columns in which another branch is looked for by lane, and not by time

/** The column a key leads to; the same one where there is nothing further, null for a key that leads nowhere. */
export function walk(entries: Entries, from: number, key: string, ctrl: boolean): number | null {
  switch (key) {
    case "ArrowLeft":
      return step(entries, from, back);
    case "ArrowRight":
      return step(entries, from, on);
    case "PageUp":
      return step(entries, from, back, PAGE);
    case "PageDown":
      return step(entries, from, on, PAGE);
    case "Home":
      return ctrl ? 0 : entries.branches[entries.branch[from]!]!.first;
    case "End":
      return ctrl ? entries.length - 1 : entries.branches[entries.branch[from]!]!.last;
    case "ArrowUp":
      return beside(entries, from, -1);
    case "ArrowDown":
      return beside(entries, from, 1);
    default:
      return null;
  }
}

type Step = (entries: Entries, from: number) => number;

const back: Step = (entries, from) => entries.parents[from]!;

/** The next one on the branch; at its end, the first that grew from it after its lane was given away. */
const on: Step = (entries, from) => {
  const next = entries.next[from]!;
  return next !== NONE ? next : (entries.forks.get(from)?.[0] ?? NONE);
};

function step(entries: Entries, from: number, towards: Step, count = 1): number {
  for (; count > 0; count -= 1) {
    const next = towards(entries, from);
    if (next === NONE) break;
    from = next;
  }
  return from;
}

/** The nearest snapshot in a lane above (-1) or below (1): of those near in time the nearest lane, else in time. */
function beside(entries: Entries, from: number, side: number): number {
  const lane = entries.lane(from);
  let best = from;
  let least = Infinity;
  const look = (column: number) => {
    const apart = column < 0 || column >= entries.length ? 0 : side * (entries.lane(column) - lane);
    if (apart > 0 && apart < least) [best, least] = [column, apart];
  };
  for (let far = 1; far < entries.length && (far <= NEAR || best === from); far += 1) {
    look(from - far);
    look(from + far);
  }
  return best;
}
