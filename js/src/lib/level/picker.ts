/** One place on the page that shows the levels: which is chosen, what each would take, and the keys that choose. */

import { element, keepKeys, setText } from "../dom";
import { Use } from "../use";
import type { Choice, State } from "./state";

const LONGEST = 10_000; // characters of a prompt; the kernel takes some more

let made = 0;

/** What can be done in a place. A level is `passed` by an arrow key, which may go on. */
export interface Deeds {
  choose(level: number, passed: boolean): void;
  type(text: string, by: Picker): void;
  use(on: boolean): void;
}

export class Picker {
  readonly root = element("div", "ocnb-picker");
  private readonly group = this.root.appendChild(element("div", "ocnb-levels"));
  private readonly why = this.root.appendChild(element("div", "ocnb-why"));
  private readonly ask = this.root.appendChild(element("label", "ocnb-for", "for the prompt"));
  private readonly input = this.ask.appendChild(element("input"));
  private readonly inUse: Use;
  private readonly id = `ocnb-level-${(made += 1)}-${Math.random().toString(36).slice(2)}`;
  private segments: Segment[] = [];
  private at = 0; // the one tab stop among them
  private focused: HTMLElement | undefined;

  constructor(private readonly deeds: Deeds) {
    this.group.setAttribute("role", "radiogroup");
    this.group.setAttribute("aria-label", "reasoning level");
    this.group.setAttribute("aria-describedby", this.id);
    this.why.id = this.id;
    this.why.dir = "auto";
    this.input.dir = "auto";
    this.input.maxLength = LONGEST;
    this.input.autocomplete = "off";
    this.input.spellcheck = false;
    keepKeys(this.input);
    this.input.addEventListener("input", () => this.deeds.type(this.input.value, this));
    this.inUse = new Use(this.root, (on) => this.deeds.use(on));
    this.root.addEventListener("focusin", (event) => this.entered(event.target as HTMLElement));
    this.root.addEventListener("keydown", (event) => this.pressed(event));
  }

  /** Show a state, of which only what changed is written. */
  show({ choices, chosen, line, tone, field }: State): void {
    while (this.segments.length < choices.length) this.add();
    this.segments.forEach((segment, level) => segment.show(choices[level]!, level === chosen));
    if (!this.group.contains(document.activeElement)) this.stop(chosen);
    setText(this.why, line);
    this.why.dataset.tone = tone;
    this.input.placeholder = field;
  }

  /** Another place has typed. */
  typed(text: string): void {
    this.input.value = text;
  }

  /** It stands in the page again, or for the first time. */
  returned(): void {
    if (this.inUse.on) this.focused?.focus({ preventScroll: true });
  }

  dispose(): void {
    this.root.remove();
  }

  private add(): void {
    const level = this.segments.length;
    const segment = new Segment(`${this.id}-${level}`);
    segment.root.addEventListener("click", () => this.choose(level, false));
    this.segments.push(segment);
    this.group.append(segment.root);
  }

  private choose(level: number, passed: boolean): void {
    if (!this.segments[level]!.off) this.deeds.choose(level, passed);
  }

  private entered(target: HTMLElement): void {
    this.focused = target;
    const level = this.segments.findIndex(({ root }) => root === target);
    if (level >= 0) this.stop(level);
  }

  private stop(level: number): void {
    this.at = level;
    this.segments.forEach(({ root }, each) => (root.tabIndex = each === level ? 0 : -1));
  }

  private pressed(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target === this.input) {
      if (event.key !== "Escape" || !this.input.value) return;
      this.input.value = "";
      this.deeds.type("", this);
    } else {
      const level = this.lead(event.key);
      if (level === null) return;
      this.segments[level]!.root.focus({ preventScroll: true });
      this.choose(level, event.key.startsWith("Arrow"));
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** The level that a key leads to: to be chosen, or only to say why it cannot. */
  private lead(key: string): number | null {
    const count = this.segments.length;
    const ahead = getComputedStyle(this.group).direction === "rtl" ? -1 : 1;
    switch (key) {
      case "ArrowRight":
        return (this.at + ahead + count) % count;
      case "ArrowLeft":
        return (this.at - ahead + count) % count;
      case "ArrowDown":
        return (this.at + 1) % count;
      case "ArrowUp":
        return (this.at - 1 + count) % count;
      case "Home":
        return 0;
      case "End":
        return count - 1;
      case "Enter":
      case " ":
        return this.at;
      default:
        return null;
    }
  }
}

/** One level. One that is off can be reached, so that it says why. */
class Segment {
  readonly root = element("button", "ocnb-level");
  off = false;
  private readonly label = this.root.appendChild(element("b"));
  private readonly figure = this.root.appendChild(element("small"));
  private readonly detail = this.root.appendChild(element("span"));

  constructor(id: string) {
    this.root.type = "button";
    this.root.setAttribute("role", "radio");
    this.root.setAttribute("aria-describedby", id);
    keepKeys(this.root);
    this.label.dir = this.figure.dir = "auto";
    this.detail.id = id;
    this.detail.hidden = true;
  }

  show(choice: Choice, chosen: boolean): void {
    this.off = choice.off;
    setText(this.label, choice.label);
    setText(this.figure, choice.figure);
    setText(this.detail, choice.detail);
    this.root.title = choice.detail;
    this.root.setAttribute("aria-label", choice.label);
    this.root.setAttribute("aria-checked", String(chosen));
    this.root.setAttribute("aria-disabled", String(choice.off));
  }
}
