/** What is below the picture: the active snapshot in words, what can be done with it, and what came of that. */

import { button, element, keepKeys, setText } from "../dom";
import type { Entries } from "./entries";
import { facts, short, title } from "./words";

const KEYS =
  "Left, Right, Home, End: along a branch · Up, Down: between branches · " +
  "Enter or r: restore · b: branch · c: compare two · n: name";

export type Said = [who: string, text: string][];

/** What the kernel says of two snapshots. */
export interface Compared {
  common: number;
  sides: { name: string; figures: string; said: Said }[];
  changed: string[];
}

export interface Deeds {
  restore(): void;
  branch(): void;
  compare(): void;
  name(): void;
}

export class Panel {
  readonly root = element("div", "ocnb-panel");
  private readonly head = this.root.appendChild(element("div", "ocnb-foot"));
  private readonly title = this.head.appendChild(element("span", "ocnb-state"));
  private readonly facts = this.head.appendChild(element("span"));
  private readonly said = this.root.appendChild(element("div", "ocnb-said"));
  private readonly line = this.root.appendChild(element("div", "ocnb-line"));
  private readonly buttons = this.line.appendChild(element("span", "ocnb-buttons"));
  private readonly status = this.line.appendChild(element("span", "ocnb-status"));
  readonly keys = this.root.appendChild(element("div", "ocnb-keys", KEYS));
  private readonly compared = this.root.appendChild(element("div", "ocnb-compared"));

  constructor(
    private readonly entries: Entries,
    deeds: Deeds,
  ) {
    this.status.setAttribute("role", "status");
    this.status.setAttribute("aria-live", "polite");
    this.keys.id = `ocnb-keys-${Math.random().toString(36).slice(2)}`;
    this.compared.hidden = true;
    keepKeys(this.compared);
    this.compared.setAttribute("role", "region");
    this.compared.setAttribute("aria-label", "comparison of two snapshots");
    const labels: [string, () => void][] = [
      ["Restore", deeds.restore], ["Branch", deeds.branch], ["Compare", deeds.compare], ["Name", deeds.name],
    ]; // prettier-ignore
    for (const [label, press] of labels) {
      const pressed = this.buttons.appendChild(button(label, press));
      pressed.tabIndex = -1; // the list is the one tab stop, and its keys do the same
    }
  }

  /** The active snapshot; `said` is empty until the kernel has told it. */
  show(column: number, said: Said): void {
    const id = short(this.entries.ids[column]!);
    setText(this.title, [id, title(this.entries, column)].filter(Boolean).join("  "));
    setText(this.facts, facts(this.entries, column).join(" · "));
    this.said.replaceChildren(...lines(said));
  }

  /** One line on what came of it, or "" for none. */
  say(words: string, tone = ""): void {
    this.line.dataset.tone = tone;
    setText(this.status, words);
  }

  /** Ask for one line of text in place of the status; `done` has it, or nothing where it was given up. */
  ask(question: string, proposal: string, verb: string, done: (text: string | null) => void): void {
    const form = element("form", "ocnb-ask");
    const input = element("input");
    const end = (text: string | null) => {
      form.remove();
      done(text);
    };
    input.value = proposal;
    input.maxLength = 80;
    keepKeys(input);
    input.setAttribute("aria-label", question);
    const agree = button(verb, () => end(input.value));
    form.append(element("span", "", question), input, agree, button("Cancel", () => end(null)));
    form.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") end(null);
      if (event.key === "Enter" && event.target === input) {
        event.preventDefault();
        end(input.value);
      }
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    this.line.querySelector("form")?.remove();
    this.line.append(form);
    input.select();
    input.focus();
  }

  compare(compared: Compared | null): void {
    this.compared.hidden = !compared;
    this.compared.tabIndex = compared ? 0 : -1;
    if (!compared) return;
    const sides = compared.sides.map((side) => {
      const column = element("div");
      column.append(element("b", "", side.name), element("div", "ocnb-figures", side.figures), ...lines(side.said));
      return column;
    });
    const changed = compared.changed.length ? `; different too: ${compared.changed.join(", ")}` : "";
    const common = element("div", "ocnb-common", `${compared.common} messages in common, then${changed}`);
    this.compared.replaceChildren(common, ...sides);
    this.compared.scrollTop = 0;
  }
}

function lines(said: Said): HTMLElement[] {
  return said.map(([who, text]) => {
    const line = element("p");
    line.append(element("span", "", who), element("span", "", text));
    return line;
  });
}
