/** What a screen reader is told of many agents: that they began, who has ended, and the end; one sentence for several. */

import { announce, Asker } from "../announce";
import { tokens } from "../words";
import type { Lane, Work } from "./work";

const GATHER = 300; // ms in which others may end too
const REST = 3000; // ms between two sentences
const ENDS = ["done", "failed", "stopped"];
const NAMES = 3; // more are only counted

export class Teller {
  private readonly known = new Set<Lane>();
  private readonly asker = new Asker();
  private started = false;
  private over: boolean | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private saidAt = -Infinity;

  tell(work: Work): void {
    if (this.over === undefined) {
      work.ended.forEach((lane) => this.known.add(lane)); // before this page came
      this.over = work.final;
    }
    if (this.over) return;
    if (work.final) {
      this.over = true;
      this.quiet();
      announce(["agents", work.whole.words || work.whole.status].join(" ") + (work.tokens ? `, ${tokens(work.tokens)}` : ""));
      return;
    }
    if (!this.started && work.lanes.some(({ line, answer }) => !line && answer.status === "streaming")) {
      this.started = true;
      this.say(`${work.lanes.length} agents started`);
    }
    const asked = work.lanes.flatMap((lane) => {
      const news = lane.answer.asks ? this.asker.news(lane.answer.approvals) : "";
      return news ? [`${lane.name}: ${news}`] : [];
    });
    if (asked.length) this.say(asked.join("; "));
    if (this.timer === undefined && work.ended.length > this.known.size) {
      const wait = Math.max(GATHER, this.saidAt + REST - performance.now());
      this.timer = setTimeout(() => this.tellEnded(work), wait);
    }
  }

  /** Say no more of what is waiting to be said. */
  quiet(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private tellEnded(work: Work): void {
    this.timer = undefined;
    const news = work.ended.filter((lane) => !this.known.has(lane));
    news.forEach((lane) => this.known.add(lane));
    const parts = ENDS.map((end) => [news.filter(({ answer }) => answer.status === end), end] as const)
      .filter(([lanes]) => lanes.length)
      .map(([lanes, end]) => `${who(lanes)} ${end}`);
    this.say(`${parts.join(", ")}, ${work.ended.length} of ${work.lanes.length}`);
  }

  private say(words: string): void {
    this.saidAt = performance.now();
    announce(words);
  }
}

function who(lanes: Lane[]): string {
  if (lanes.length > NAMES) return `${lanes.length} agents`;
  const names = lanes.map(({ name }) => name);
  return [names.slice(0, -1).join(", "), names.at(-1)].filter(Boolean).join(" and ");
}
