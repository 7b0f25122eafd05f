import { describe, expect, it } from "vitest";
import { Entries, FAR, NONE } from "../src/lib/timeline/entries";
import { facts, title } from "../src/lib/timeline/words";
import { walk } from "../src/lib/timeline/walk";
import { news } from "./snapshots";

/** Main is 0 1 2 4, a fork of 1 is 3 5, and a fork of 0 is 6. */
const PARENTS = [NONE, 0, 1, 1, 2, 3, 0];

function filled(parents = PARENTS, upTo = parents.length): Entries {
  const entries = new Entries();
  entries.apply(news(parents, 0, upTo));
  return entries;
}

describe("taking news", () => {
  it("puts columns together that come in any number of messages, also twice", () => {
    const entries = filled(PARENTS, 2);
    expect(entries.apply(news(PARENTS, 1, 5))).toBe(true);
    expect(entries.apply(news(PARENTS, 0, 3))).toBe(true);
    expect(entries.apply(news(PARENTS, 5))).toBe(true);
    const whole = filled();
    for (const field of ["ids", "parents", "branch", "branches", "created", "next", "lanes", "sessions"] as const) {
      expect(entries[field]).toEqual(whole[field]);
    }
    expect(entries.parents).toEqual(PARENTS);
    expect(entries.next).toEqual([1, 2, 4, 5, NONE, NONE, NONE]);
  });

  it("says so when some are missing, and takes nothing then", () => {
    const entries = filled(PARENTS, 2);
    expect(entries.apply(news(PARENTS, 4))).toBe(false);
    expect(entries.length).toBe(2);
  });

  it("begins anew with another epoch, which must come whole", () => {
    const entries = filled();
    expect(entries.apply({ ...news([NONE, 0], 1), epoch: 1 })).toBe(false);
    expect(entries.apply({ ...news([NONE, 0]), epoch: 1 })).toBe(true);
    expect([entries.length, entries.lanes, entries.branches.length]).toEqual([2, 1, 1]);
    expect(entries.crossing(0, 100).length).toBe(1);
  });

  it("knows where sessions stand, names, and what was renamed", () => {
    const entries = new Entries();
    entries.apply({ ...news(PARENTS), heads: { main: 4, try: 5, twin: 4 }, unended: [6], labels: { 0: "start", 1: "x" } });
    expect(entries.now).toBe(4);
    expect([...entries.marks]).toEqual([[4, "now, twin"], [5, "try"], [6, "not ended"]]);
    entries.apply({ ...news(PARENTS, 7), renamed: { 1: "", 2: "x" } });
    expect([...entries.labels]).toEqual([[0, "start"], [2, "x"]]);
  });
});

describe("a pool's run", () => {
  const pools: Record<string, [string, string, number]> = { 1: ["coder, tester", "parallel, 2 agents", 0] };
  const told = { ...news(PARENTS), pools, heads: { main: 1 } };
  told.branches = told.branches.map(([n, lane, source, first]) => [n, lane, source, first, n === 1 ? "coder" : ""]);

  it("is called by its agents, and their lines by their names, at the last of each", () => {
    const entries = new Entries();
    entries.apply(told);
    expect(title(entries, 1)).toBe("pool: coder, tester, now");
    expect([title(entries, 3), title(entries, 5), title(entries, 4)]).toEqual(["", "coder", ""]);
    expect(facts(entries, 1).slice(0, 3)).toEqual(["main", "pool", "parallel, 2 agents"]);
    entries.apply({ ...news([...PARENTS, 5], 7), heads: { main: 1 }, labels: { 1: "here" } });
    expect([title(entries, 1), title(entries, 7)]).toEqual(["here, now", "coder"]);
  });

  it("says how it ended when that is told, and what it cost", () => {
    const entries = new Entries();
    entries.apply(told);
    entries.apply({ ...news(PARENTS, 7), pools: { 1: ["coder, tester", "parallel, 2 of 2 done", 4200] } });
    expect(facts(entries, 1).slice(2, 4)).toEqual(["parallel, 2 of 2 done", "$0.0042"]);
    expect(entries.length).toBe(7);
    entries.apply({ ...news([NONE]), epoch: 1 });
    expect(title(entries, 0)).toBe("now");
  });
});

describe("looking up", () => {
  it("finds the branches that cross a window, and no others, as a search of all would", () => {
    let seed = 7;
    const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below;
    const parents = [NONE];
    for (let n = 1; n < 700; n += 1) parents.push(random(10) ? n - 1 - random(Math.min(3, n)) : random(n));
    const entries = filled(parents);
    for (let from = 0; from < 700; from += 37) {
      const found = entries.crossing(from, from + 20).map((branch) => branch.first);
      const all = entries.branches.filter((b) => entries.begins(b) <= from + 20 && b.last >= from);
      expect(found.sort((a, b) => a - b)).toEqual(all.map((branch) => branch.first));
    }
  });

  it("draws a line from far away only in its last part", () => {
    const entries = filled([NONE, ...Array.from({ length: FAR + 2 }, (_, n) => n), 0]);
    const branch = entries.branches[1]!;
    expect([branch.source, entries.begins(branch)]).toEqual([0, branch.first]);
  });
});

describe("walking", () => {
  const entries = filled();
  const go = (from: number, key: string, ctrl = false) => walk(entries, from, key, ctrl);

  it("goes along a branch, and over its fork to where it grew from", () => {
    expect([go(4, "ArrowLeft"), go(3, "ArrowLeft"), go(6, "ArrowLeft"), go(0, "ArrowLeft")]).toEqual([2, 1, 0, 0]);
    expect([go(1, "ArrowRight"), go(3, "ArrowRight"), go(4, "ArrowRight")]).toEqual([2, 5, 4]);
  });

  it("goes to the ends of a branch, and with Control of all", () => {
    expect([go(2, "Home"), go(2, "End"), go(5, "Home"), go(5, "End")]).toEqual([0, 4, 3, 5]);
    expect([go(5, "Home", true), go(3, "End", true)]).toEqual([0, 6]);
  });

  it("goes to the nearest snapshot of the nearest lane above or below", () => {
    expect([go(4, "ArrowDown"), go(0, "ArrowDown"), go(5, "ArrowDown"), go(6, "ArrowDown")]).toEqual([3, 3, 6, 6]);
    expect([go(3, "ArrowUp"), go(6, "ArrowUp"), go(2, "ArrowUp")]).toEqual([2, 5, 2]);
  });

  it("goes by twenty, no further than there is, and knows no other key", () => {
    const line = filled([NONE, ...Array.from({ length: 49 }, (_, n) => n)]);
    expect([walk(line, 0, "PageDown", false), walk(line, 40, "PageDown", false)]).toEqual([20, 49]);
    expect([walk(line, 45, "PageUp", false), walk(line, 5, "PageUp", false)]).toEqual([25, 0]);
    expect(walk(line, 5, "x", false)).toBeNull();
  });

  it("finds another branch far away in a long line in little time", () => {
    const line = [NONE, 0, 0, ...Array.from({ length: 9997 }, (_, n) => (n ? n + 2 : 1))];
    const long = filled(line);
    expect(walk(long, 9000, "ArrowDown", false)).toBe(2);
  });
});
