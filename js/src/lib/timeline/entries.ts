/** What the kernel has told of its snapshots: columns by field, the branches they are on, and where sessions stand. */

export const NONE = -1;
export const FAR = 48; // columns, as in outline.py

const BUCKET = 64; // columns; branches are looked up by these

export interface Branch {
  lane: number;
  source: number;
  first: number;
  last: number;
  agent: string; // whose part in a pool's run it is, if that is what it is
}

/** A run of a pool: its agents, and what there is to say of it. */
export interface Pool {
  agents: string;
  figures: string;
}

/** A message of new columns; outline.py says what each field is. */
export interface News {
  epoch: number;
  at: number;
  ids: string;
  parents: number[];
  branch: number[];
  branches: [number, number, number, number, string][];
  created: number[];
  words: string[];
  sessions: number[];
  kinds: number[];
  lengths: number[];
  sizes: number[];
  levels: number[];
  costs: number[];
  pools: Record<string, [agents: string, figures: string, cost: number]>;
  labels: Record<string, string>;
  renamed: Record<string, string>;
  heads: Record<string, number>;
  here: string;
  unended: number[];
}

export class Entries {
  epoch = NONE;
  ids: string[] = [];
  parents: number[] = [];
  branch: number[] = [];
  created: number[] = [];
  sessions: string[] = [];
  kinds: string[] = [];
  lengths: number[] = [];
  sizes: number[] = [];
  levels: number[] = [];
  costs: number[] = [];
  next: number[] = [];
  branches: Branch[] = [];
  lanes = 0;
  here = "";
  readonly labels = new Map<number, string>();
  readonly marks = new Map<number, string>();
  readonly pools = new Map<number, Pool>();
  readonly forks = new Map<number, number[]>();
  private readonly buckets: Set<number>[] = [];

  get length(): number {
    return this.ids.length;
  }

  /** Where the session that is "now" stands, or the newest snapshot. */
  now = NONE;

  /** Take news; false where some before it are missing. What is known already is passed over. */
  apply(news: News): boolean {
    if (news.epoch !== this.epoch) {
      if (news.at > 0) return false;
      this.clear(news.epoch);
    }
    if (news.at > this.length) return false;
    this.grow(news);
    for (const [column, [agents, figures, cost]] of Object.entries(news.pools)) {
      this.pools.set(Number(column), { agents, figures });
      this.costs[Number(column)] = cost;
    }
    for (const labels of [news.labels, news.renamed]) {
      for (const [column, label] of Object.entries(labels)) {
        if (label) this.labels.set(Number(column), label);
        else this.labels.delete(Number(column));
      }
    }
    this.mark(news);
    return true;
  }

  lane(column: number): number {
    return this.branches[this.branch[column]!]!.lane;
  }

  /** The column from which a branch's line is drawn. */
  begins(branch: Branch): number {
    return branch.source !== NONE && branch.source >= branch.first - FAR ? branch.source : branch.first;
  }

  /** The branches whose lines cross these columns. */
  crossing(from: number, to: number): Branch[] {
    const found = new Set<number>();
    for (let at = Math.max(0, Math.floor(from / BUCKET)); at <= Math.floor(to / BUCKET); at += 1) {
      this.buckets[at]?.forEach((number) => found.add(number));
    }
    return [...found].map((number) => this.branches[number]!).filter((b) => b.last >= from && this.begins(b) <= to);
  }

  /** Messages more than in the snapshot it grew from. */
  added(column: number): number {
    return this.lengths[column]! - (this.lengths[this.parents[column]!] ?? 0);
  }

  /** USD spent since the snapshot it grew from. */
  cost(column: number): number {
    return this.costs[column]! / 1e6;
  }

  private grow(news: News): void {
    const ids = news.ids ? news.ids.split(" ") : [];
    for (const [number, lane, source, first, agent] of news.branches) {
      if (number < this.branches.length) continue;
      this.branches[number] = { lane, source, first, last: first, agent };
      this.lanes = Math.max(this.lanes, lane + 1);
      if (source !== NONE) this.forks.set(source, [...(this.forks.get(source) ?? []), first]);
    }
    let created = 0;
    for (let n = 0; n < ids.length; n += 1) {
      created += news.created[n]!;
      const column = news.at + n;
      if (column < this.length) continue;
      this.ids.push(ids[n]!);
      this.parents.push(news.parents[n] ? column - news.parents[n]! : NONE);
      this.created.push(created);
      this.sessions.push(news.words[news.sessions[n]!]!);
      this.kinds.push(news.words[news.kinds[n]!]!);
      this.lengths.push(news.lengths[n]!);
      this.sizes.push(news.sizes[n]!);
      this.levels.push(news.levels[n]!);
      this.costs.push(news.costs[n]!);
      this.next.push(NONE);
      this.place(column, news.branch[n]!);
    }
  }

  private place(column: number, number: number): void {
    const branch = this.branches[number]!;
    this.branch.push(number);
    if (column > branch.first) this.next[branch.last] = column;
    const from = column === branch.first ? this.begins(branch) : branch.last;
    for (let at = Math.floor(from / BUCKET); at <= Math.floor(column / BUCKET); at += 1) {
      (this.buckets[at] ??= new Set()).add(number);
    }
    branch.last = column;
  }

  private mark(news: News): void {
    this.here = news.here;
    this.now = news.heads[news.here] ?? this.length - 1;
    this.marks.clear();
    const say = (column: number, words: string) =>
      this.marks.set(column, [this.marks.get(column), words].filter(Boolean).join(", "));
    for (const [session, column] of Object.entries(news.heads)) say(column, session === news.here ? "now" : session);
    for (const column of news.unended) say(column, "not ended");
  }

  private clear(epoch: number): void {
    const lists = [
      this.ids, this.parents, this.branch, this.created, this.sessions, this.kinds, this.lengths, this.sizes,
      this.levels, this.costs, this.next, this.branches, this.buckets,
    ]; // prettier-ignore
    for (const list of lists) list.length = 0;
    this.labels.clear();
    this.pools.clear();
    this.forks.clear();
    this.lanes = 0;
    this.epoch = epoch;
  }
}
