/** News of snapshots as the kernel tells them; lanes are given as outline.py does, but never given away. */

import type { News } from "../src/lib/timeline/entries";
import { NONE } from "../src/lib/timeline/entries";

/** The columns `from` to `to` of a store in which snapshot n grew from `parents[n]`. */
export function news(parents: number[], from = 0, to = parents.length): News & { kind: string } {
  const branch: number[] = [];
  const branches: News["branches"] = [];
  const tips: number[] = [];
  parents.slice(0, to).forEach((parent, column) => {
    const number = parent !== NONE && tips[branch[parent]!] === parent ? branch[parent]! : branches.length;
    if (number === branches.length) branches.push([number, number, parent, column, ""]);
    branch.push(number);
    tips[number] = column;
  });
  const columns = parents.slice(from, to).map((parent, n) => ({ parent, column: from + n }));
  return {
    kind: "news",
    epoch: 0,
    at: from,
    ids: columns.map(({ column }) => column.toString(16).padStart(16, "0")).join(" "),
    parents: columns.map(({ parent, column }) => (parent === NONE ? 0 : column - parent)),
    branch: branch.slice(from, to),
    branches: branches.filter(([, , , first]) => first >= from),
    created: columns.map(({ column }, n) => (n ? 60_000 : 1_795_355_000_000 + 60_000 * column)),
    words: ["main", "turn"],
    sessions: columns.map(() => 0),
    kinds: columns.map(() => 1),
    lengths: columns.map(({ column }) => 2 * column + 2),
    sizes: columns.map(() => 495),
    levels: columns.map(() => 2),
    costs: columns.map(({ column, parent }) => 1200 * (parent === NONE ? 0 : column - parent)),
    pools: {},
    labels: {},
    renamed: {},
    heads: { main: 0 },
    here: "main",
    unended: [],
  };
}
