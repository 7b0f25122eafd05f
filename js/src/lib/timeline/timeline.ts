/** One place on the page that shows a store's snapshots: which is active, what keys and buttons do, what was answered. */

import { element } from "../dom";
import type { Entries } from "./entries";
import { NONE } from "./entries";
import type { Compared, Said } from "./panel";
import { Panel } from "./panel";
import { Strip } from "./strip";
import { Use } from "../use";
import { walk } from "./walk";
import { short } from "./words";

const REST = 120; // ms on a snapshot before what was said in it is asked for
const PATIENCE = 1200; // ms for an answer before it is said why there is none

export interface Answer {
  words?: string;
  tone?: string;
  said?: Said;
  common?: number;
}

/** Ask the kernel; it answers when it can. */
export type Ask = (content: Record<string, unknown>) => Promise<Answer>;

export class Timeline {
  readonly root = element("div", "ocnb ocnb-timeline");
  private readonly strip: Strip;
  private readonly panel: Panel;
  private active = NONE;
  private marked = NONE;
  private chosen = false;
  private resting: ReturnType<typeof setTimeout> | undefined;
  private readonly inUse: Use;
  private id = ""; // of the active one
  private epoch = NONE;
  private said: { id: string; said: Said } | undefined;

  constructor(
    private readonly entries: Entries,
    private readonly ask: Ask,
    use: (on: boolean) => void,
  ) {
    this.strip = new Strip(entries, (column) => {
      this.choose(column);
      this.strip.root.focus({ preventScroll: true });
    });
    this.panel = new Panel(entries, {
      restore: () => this.restore(),
      branch: () => this.branch(),
      compare: () => this.compare(),
      name: () => this.name(),
    });
    this.strip.root.setAttribute("aria-describedby", this.panel.keys.id);
    this.root.append(this.strip.root, this.panel.root);
    this.root.addEventListener("keydown", (event) => this.pressed(event));
    this.inUse = new Use(this.root, use);
  }

  /** Show what is new; who has chosen nothing yet is shown where things stand. */
  update(): void {
    if (!this.entries.length) return;
    if (this.epoch !== this.entries.epoch) this.find();
    const moved = !this.chosen || this.active === NONE;
    if (moved) this.active = this.entries.now;
    this.id = this.entries.ids[this.active]!;
    this.strip.update({ active: this.active, marked: this.marked });
    if (moved) this.strip.reveal(this.active);
    this.show();
  }

  /** It stands in the page again, or for the first time. */
  returned(): void {
    this.update();
    this.strip.returned();
    if (this.inUse.on) this.strip.root.focus({ preventScroll: true });
  }

  dispose(): void {
    clearTimeout(this.resting);
    this.strip.dispose();
  }

  private choose(column: number): void {
    this.chosen = true;
    this.active = column;
    this.id = this.entries.ids[column]!;
    this.strip.update({ active: column, marked: this.marked });
    this.strip.reveal(column);
    this.show();
  }

  private show(): void {
    const { id } = this;
    this.panel.show(this.active, this.said?.id === id ? this.said.said : []);
    if (this.said?.id === id) return;
    this.said = { id, said: [] };
    clearTimeout(this.resting);
    this.resting = setTimeout(() => void this.look(id), REST);
  }

  private async look(id: string): Promise<void> {
    const { said } = await this.ask({ kind: "show", id });
    if (!said || id !== this.id) return;
    this.said = { id, said };
    this.panel.show(this.active, said);
  }

  /** All began anew: what was chosen may stand elsewhere now, or nowhere. */
  private find(): void {
    this.epoch = this.entries.epoch;
    this.marked = NONE;
    this.active = this.entries.ids.indexOf(this.id);
  }

  // -- what can be done --------------------------------------------------------------------------

  private pressed(event: KeyboardEvent): void {
    if (event.altKey || event.metaKey || this.active === NONE) return;
    if (event.key === "Escape") {
      this.mark(NONE);
      this.panel.compare(null);
      this.panel.say("");
      this.strip.root.focus({ preventScroll: true });
    } else if (event.target === this.strip.root) {
      const column = walk(this.entries, this.active, event.key, event.ctrlKey);
      const deed = event.ctrlKey ? undefined : this.deed(event.key.toLowerCase());
      if (column === null && !deed) return;
      if (column !== null) this.choose(column);
      else deed?.();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private deed(key: string): (() => void) | undefined {
    switch (key) {
      case "enter":
      case "r":
        return () => this.restore();
      case "b":
        return () => this.branch();
      case "c":
        return () => this.compare();
      case "n":
        return () => this.name();
      default:
        return undefined;
    }
  }

  private restore(): void {
    void this.tell({ kind: "restore", id: this.id });
  }

  private branch(): void {
    const session = this.entries.sessions[this.active] || "main";
    this.panel.say("");
    this.panel.ask("name of the new session", free(session, this.entries.sessions), "Branch here", (name) => {
      this.strip.root.focus({ preventScroll: true });
      if (name !== null) void this.tell({ kind: "branch", id: this.id, name });
    });
  }

  private name(): void {
    const id = this.id;
    this.panel.say("");
    this.panel.ask(`name of ${short(id)}`, this.entries.labels.get(this.active) ?? "", "Name it", (name) => {
      this.strip.root.focus({ preventScroll: true });
      if (name !== null) void this.tell({ kind: "name", id, name });
    });
  }

  /** The first of two is marked; with the second they are compared. */
  private compare(): void {
    if (this.marked === NONE) {
      this.mark(this.active);
      this.panel.say(`${short(this.id)} is marked; compare another one with it`);
    } else if (this.marked === this.active) {
      this.mark(NONE);
      this.panel.say("no snapshot is marked");
    } else {
      const [a, b] = [this.entries.ids[this.marked]!, this.id];
      this.mark(NONE);
      void this.tell({ kind: "compare", a, b }).then((answer) => {
        if (answer.common === undefined) return;
        this.panel.compare(answer as Compared);
        this.panel.say(`${short(a)} and ${short(b)} are compared below; Escape closes it`);
      });
    }
  }

  private mark(column: number): void {
    this.marked = column;
    this.strip.update({ active: this.active, marked: column });
  }

  private async tell(content: Record<string, unknown>): Promise<Answer> {
    const late = setTimeout(() => this.panel.say("asked; the kernel answers when it is free"), PATIENCE);
    const answer = await this.ask(content);
    clearTimeout(late);
    if (answer.words) this.panel.say(answer.words, answer.tone);
    return answer;
  }
}

/** A name for a branch that no session has yet: main-2, main-3, … */
function free(session: string, taken: string[]): string {
  const names = new Set(taken);
  let number = 2;
  while (names.has(`${session}-${number}`)) number += 1;
  return `${session}-${number}`;
}
