/** What waits for a person: what is to be run, all of it, and two buttons of which none is the default. */

import type { Answer, Asked } from "./answer";
import { button, element, keepKeys, setText } from "./dom";
import { extent, left } from "./words";

const LONG = 1200; // characters; a longer command may scroll, and says how much there is of it
const LINES = 12;
const CALM = 500; // ms after rows came or went in which no press counts: it was meant for what stood there before

/** What a press does: the id of what is decided, and how. */
export type Decide = (id: string, allow: boolean) => void;

let made = 0;

export class Asks {
  readonly root = element("div", "ocnb-asks");
  private readonly rows = new Map<string, Row>();
  private movedAt = -Infinity;

  /** What `rest` gives takes the focus of a button that goes: never the next approval's, which Enter would press. */
  constructor(
    private readonly decide: Decide,
    private readonly rest: () => HTMLElement,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.root.hidden = true;
  }

  update(answer: Answer, stopping: boolean): void {
    const asked = answer.final ? [] : answer.approvals;
    const ids = new Set(asked.map(({ id }) => id));
    for (const [id, row] of this.rows) if (!ids.has(id)) this.remove(id, row);
    for (const each of asked) (this.rows.get(each.id) ?? this.add(each)).update(each, stopping);
    this.root.hidden = !asked.length;
    this.tick(answer);
  }

  /** What changes without a message: the time that is left. */
  tick(answer: Answer): void {
    for (const each of answer.approvals) this.rows.get(each.id)?.tick(answer.left(each));
  }

  private add(asked: Asked): Row {
    const row = new Row(asked, (allow) => this.press(asked.id, allow));
    this.rows.set(asked.id, row);
    this.root.append(row.root);
    this.movedAt = this.now();
    return row;
  }

  private remove(id: string, row: Row): void {
    this.rows.delete(id);
    const focused = row.root.contains(document.activeElement);
    row.root.remove();
    if (focused) leaveTo(this.rest());
    this.movedAt = this.now();
  }

  private press(id: string, allow: boolean): void {
    if (this.now() - this.movedAt >= CALM) this.decide(id, allow);
  }
}

function leaveTo(rest: HTMLElement): void {
  if (!rest.hasAttribute("tabindex") && rest.tabIndex < 0) rest.tabIndex = -1;
  keepKeys(rest);
  rest.focus({ preventScroll: true });
}

class Row {
  readonly root = element("div", "ocnb-ask");
  private readonly left = element("span", "ocnb-ask-left");
  private readonly words = element("span");
  private readonly buttons: HTMLButtonElement[] = [];
  private readonly unread: string;
  private open = true;

  constructor(asked: Asked, decide: (allow: boolean) => void) {
    const head = this.root.appendChild(element("div", "ocnb-ask-head"));
    const title = head.appendChild(element("b", "", asked.title));
    head.append(element("span", "ocnb-ask-details", asked.details), this.left);
    const command = this.root.appendChild(element("pre", "", asked.command));
    title.id = `ocnb-ask-${(made += 1)}-${Math.random().toString(36).slice(2)}`;
    command.id = `${title.id}-command`;
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-labelledby", title.id);
    if (asked.command.length > LONG || asked.command.split("\n").length > LINES) scrolls(command, asked.command);
    this.unread = asked.more ? `${asked.more.toLocaleString("en-US")} characters are not shown: it cannot be allowed here` : "";
    const foot = this.root.appendChild(element("div", "ocnb-ask-foot"));
    const add = (label: string, allow: boolean) => {
      const made = button(label, ({ detail }) => this.open && detail < 2 && decide(allow));
      made.setAttribute("aria-describedby", command.id);
      this.buttons.push(foot.appendChild(made));
    };
    if (!asked.more) add("Allow once", true);
    add("Deny", false);
    foot.append(this.words);
  }

  update({ chosen }: Asked, stopping: boolean): void {
    this.open = chosen === null && !stopping;
    for (const each of this.buttons) each.setAttribute("aria-disabled", String(!this.open));
    setText(this.words, chosen === null ? this.unread : chosen ? "allowing" : "denying");
  }

  tick(seconds: number | null): void {
    setText(this.left, left(seconds));
  }
}

function scrolls(command: HTMLElement, text: string): void {
  command.tabIndex = 0;
  command.setAttribute("role", "region");
  command.setAttribute("aria-label", "what is to be run");
  keepKeys(command);
  command.after(element("div", "ocnb-ask-extent", `${extent(text)}; read it to its end`));
}
