/** What is known of agents at work side by side: each lane and the whole, out of messages that may come twice or not at all. */

import { Answer } from "../answer";

type Fields = Record<string, unknown>;

const FACTS = ["status", "words", "tokens", "seconds"] as const;

const fields = (value: unknown): Fields => (typeof value === "object" && value !== null ? (value as Fields) : {});
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** One agent's part: an answer of its own, and what stands around it. */
export class Lane {
  readonly answer = new Answer();
  name = "";
  /** Where it stands in the queue, in words; empty once it has begun. */
  line = "";
  /** US dollars, or null where nobody knows. */
  cost: number | null = null;
  stopping = false;

  /** Take one message. False when text before it is missing. */
  apply(message: unknown): boolean {
    const news = fields(message);
    if (news.kind === "state") this.learn(news);
    return this.answer.apply(message);
  }

  /** Take the lane's part of the synced state. */
  absorb(state: Fields): void {
    this.learn(state);
    this.answer.absorb((name) => state[name]);
  }

  private learn({ name, line, cost }: Fields): void {
    if (typeof name === "string") this.name = name;
    if (typeof line === "string") this.line = line;
    if (typeof cost === "number") this.cost = cost;
  }
}

export class Work {
  readonly lanes: Lane[] = [];
  readonly whole = new Answer();

  get final(): boolean {
    return this.whole.final;
  }

  get ended(): Lane[] {
    return this.lanes.filter(({ answer }) => answer.final);
  }

  /** "2 of 5 done, 1 failed". */
  get count(): string {
    const of = (status: string) => this.lanes.filter(({ answer }) => answer.status === status).length;
    const rest = ["failed", "stopped"].filter(of).map((status) => `, ${of(status)} ${status}`);
    return `${of("done")} of ${this.lanes.length} done${rest.join("")}`;
  }

  /** Tokens and cost of all lanes: those of the whole are told seldom. */
  get tokens(): number {
    return Math.max(this.whole.tokens, this.lanes.reduce((sum, { answer }) => sum + answer.tokens, 0));
  }

  get cost(): number | null {
    const known = this.lanes.map(({ cost }) => cost).filter((cost) => cost !== null);
    return known.length ? known.reduce((sum, cost) => sum + cost, 0) : null;
  }

  /** Take a message; the lanes that it told something of, and those of them that text is missing of. */
  apply(message: unknown): { told: Lane[]; short: Lane[] } {
    const { kind, pool, lanes } = fields(message);
    const told: Lane[] = [];
    const short: Lane[] = [];
    if (kind !== "lanes") return { told, short };
    for (const { n, news } of list(lanes).map(fields)) {
      const lane = this.lanes[n as number];
      if (!lane) continue;
      told.push(lane);
      // No message is passed over: one that does not fit may be followed by one that does.
      if (list(news).map((each) => lane.apply(each)).includes(false)) short.push(lane);
    }
    this.whole.apply({ ...fields(pool), kind: "state" });
    return { told, short };
  }

  /** Take the model's synced state: all of it, as of one moment. */
  absorb(get: (name: string) => unknown): void {
    for (const [n, state] of list(get("lanes")).entries()) (this.lanes[n] ??= new Lane()).absorb(fields(state));
    const pool = fields(get("pool"));
    this.whole.apply({ kind: "state", ...Object.fromEntries(FACTS.map((name) => [name, pool[name]])) });
  }
}
