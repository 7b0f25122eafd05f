/** One place on the page that shows a pool: how much of it is at work, its size and its limit per task. */

import { element, setText } from "../dom";
import { Use } from "../use";
import { Counter } from "./counter";
import { Meter } from "./meter";
import type { Setting, State } from "./state";

const SIZE = { name: "threads", before: " of ", after: " at work", more: "one thread more", fewer: "one thread fewer" };
const LIMIT = { name: "per task", before: "at most ", after: " per task", more: "one more per task", fewer: "one fewer per task" };

let made = 0;

/** What can be done in a place. */
export interface Deeds {
  set(setting: Setting, value: number): void;
  use(on: boolean): void;
}

export class Gauge {
  readonly root = element("div", "ocnb-pool");
  private readonly line = element("div", "ocnb-reply");
  private readonly meter = new Meter();
  private readonly size: Counter;
  private readonly limit: Counter;
  private readonly waiting = element("span", "ocnb-waiting");
  private readonly inUse: Use;
  private focused: HTMLElement | undefined;

  constructor(deeds: Deeds) {
    this.line.id = `ocnb-pool-${(made += 1)}-${Math.random().toString(36).slice(2)}`;
    this.line.dir = "auto";
    this.size = new Counter(SIZE, this.line.id, (value) => deeds.set("max_threads", value));
    this.limit = new Counter(LIMIT, this.line.id, (value) => deeds.set("max_per_task", value));
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", "thread pool");
    this.root.append(this.meter.root, this.size.root, this.limit.root, this.waiting, this.line);
    this.inUse = new Use(this.root, (on) => deeds.use(on));
    this.root.addEventListener("focusin", (event) => (this.focused = event.target as HTMLElement));
  }

  /** Show a state, of which only what changed is written. */
  show({ max_threads, max_per_task, at_work, waiting, largest, line, tone }: State): void {
    this.meter.show(max_threads, at_work);
    this.size.show(max_threads, largest);
    this.limit.show(max_per_task, largest);
    setText(this.size.used, String(at_work));
    setText(this.waiting, waiting ? `${waiting.toLocaleString("en")} ${waiting === 1 ? "waits" : "wait"}` : "");
    setText(this.line, line);
    this.line.dataset.tone = tone;
  }

  /** It stands in the page again, or for the first time. */
  returned(): void {
    if (this.inUse.on) this.focused?.focus({ preventScroll: true });
  }

  dispose(): void {
    this.root.remove();
  }
}
