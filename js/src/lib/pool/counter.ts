/** A number that can be typed, stepped by arrow keys, and made one more or one fewer by buttons beside it. */

import { button, element, keepKeys } from "../dom";

const STEPS: Record<string, number> = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 };
const LONGEST = 9; // digits; which numbers are too big is for the kernel to say

/** What is written around the number, and what each part is called where it is read aloud. */
export interface Words {
  name: string;
  before: string;
  after: string;
  more: string;
  fewer: string;
}

/** Room for a number of as many digits, of which two are always kept. */
const width = (digits: string) => `${Math.max(2, digits.length)}ch`;

export class Counter {
  readonly root = element("span", "ocnb-count");
  readonly used = element("span", "ocnb-used");
  private readonly words = this.root.appendChild(element("label", "ocnb-words"));
  private readonly field = element("input");
  private readonly fewer: HTMLButtonElement;
  private readonly more: HTMLButtonElement;
  private value = 0;
  private largest = 1;
  private typing = false;

  constructor(
    { name, before, after, more, fewer }: Words,
    describedBy: string,
    private readonly set: (value: number) => void,
  ) {
    this.words.dir = "ltr";
    this.words.append(this.used, before, this.field, after);
    this.fewer = this.root.appendChild(this.button("−", fewer, -1));
    this.more = this.root.appendChild(this.button("+", more, 1));
    this.field.inputMode = "numeric";
    this.field.autocomplete = "off";
    this.field.maxLength = LONGEST;
    this.field.setAttribute("role", "spinbutton");
    this.field.setAttribute("aria-label", name);
    this.field.setAttribute("aria-valuemin", "1");
    this.field.setAttribute("aria-describedby", describedBy);
    keepKeys(this.field);
    this.field.addEventListener("focus", () => this.field.select());
    this.field.addEventListener("input", () => this.typed());
    this.field.addEventListener("change", () => this.take());
    this.field.addEventListener("keydown", (event) => this.pressed(event));
  }

  /** Show a number, unless somebody is typing another. */
  show(value: number, largest: number): void {
    this.value = value;
    this.largest = largest;
    this.fewer.setAttribute("aria-disabled", String(value <= 1));
    this.more.setAttribute("aria-disabled", String(value >= largest));
    this.field.setAttribute("aria-valuenow", String(value));
    this.field.setAttribute("aria-valuemax", String(largest));
    this.used.style.minWidth = width(String(value));
    if (!this.typing) this.write(String(value));
  }

  private button(label: string, name: string, by: number): HTMLButtonElement {
    const made = button(label, () => this.step(by));
    made.setAttribute("aria-label", name);
    made.title = name;
    return made;
  }

  private step(by: number): void {
    const value = Math.max(1, Math.min(this.largest, this.value + by));
    if (value !== this.value) this.set(value);
  }

  private typed(): void {
    this.typing = true;
    this.fit();
  }

  /** What was typed is meant; what is no number is not. */
  private take(): void {
    if (!this.typing) return;
    this.typing = false;
    const text = this.field.value.trim();
    if (/^\d+$/.test(text) && Number(text) !== this.value) this.set(Number(text));
    else this.write(String(this.value));
  }

  private write(text: string): void {
    if (this.field.value === text) return;
    this.field.value = text;
    this.fit();
    if (document.activeElement === this.field) this.field.select(); // what is typed next is another number
  }

  private fit(): void {
    this.field.style.width = width(this.field.value);
  }

  private pressed(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const by = STEPS[event.key];
    if (event.key === "Escape" && this.typing) this.field.value = "";
    else if (by === undefined && event.key !== "Enter") return;
    this.take();
    if (by !== undefined) this.step(by);
    event.preventDefault();
    event.stopPropagation();
  }
}
