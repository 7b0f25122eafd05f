/** The picture that scrolls: only the columns on the screen are drawn, and one of them is the active one. */

import { element, keepKeys } from "../dom";
import type { Entries } from "./entries";
import { NONE } from "./entries";
import { spoken, tick, title } from "./words";

const EDGE = 16; // pixels before the first dot
const ROOM = 110; // pixels behind the last one, for its name
const NARROW = 30; // pixels between two columns: where there are many,
const WIDE = 96; // and where there are few
const LANE = 38; // pixels between two lanes
const CLOSE = 26; // where there are many,
const MANY = 8; // as many as this
const TOP = 30;
const BEND = 56; // pixels that a line takes to change its lane
const TICK = 104; // pixels between two times at least
const CHARACTER = 6.3; // pixels of an average one
const SPARE = 8; // columns drawn on either side of the screen

const SVG = "http://www.w3.org/2000/svg";

let made = 0;

export interface Marked {
  active: number;
  marked: number;
}

export class Strip {
  readonly root = element("div", "ocnb-strip");
  private readonly inner = this.root.appendChild(element("div"));
  private readonly lines = this.inner.appendChild(document.createElementNS(SVG, "svg"));
  private readonly dots = this.inner.appendChild(element("div"));
  private readonly times = this.inner.appendChild(element("div", "ocnb-times"));
  private readonly id = `ocnb-snapshot-${(made += 1)}-`;
  private shown = new Map<number, HTMLElement>();
  private step = 0;
  private drawn = [0, -1];
  private frame = 0;
  private length = 0;
  private at: Marked = { active: NONE, marked: NONE };
  private scrolled = { left: 0, top: 0, width: 0, atEnd: true };
  private readonly sizes = new ResizeObserver(() => {
    if (this.step && this.root.isConnected) this.returned();
  });

  constructor(
    private readonly entries: Entries,
    choose: (column: number) => void,
  ) {
    this.root.tabIndex = 0;
    keepKeys(this.root);
    this.root.setAttribute("role", "listbox");
    this.root.setAttribute("aria-orientation", "horizontal");
    this.root.setAttribute("aria-label", "snapshots");
    this.lines.setAttribute("aria-hidden", "true");
    this.times.setAttribute("aria-hidden", "true");
    this.root.addEventListener("scroll", () => {
      // What was made wider and narrower again has scrolled by itself; `sizes` puts that right.
      if (this.root.clientWidth === this.scrolled.width) this.remember();
      this.frame ||= requestAnimationFrame(() => this.draw());
    });
    this.sizes.observe(this.root);
    this.dots.addEventListener("click", (event) => {
      const option = (event.target as Element).closest<HTMLElement>("[data-column]");
      if (option) choose(Number(option.dataset.column));
    });
  }

  /** Show what is new. Who has scrolled to the end stays there. */
  update(at: Marked): void {
    const { root } = this;
    this.step ||= Math.min(WIDE, Math.max(NARROW, (root.clientWidth - EDGE - ROOM) / Math.max(this.entries.length - 1, 1)));
    const grown = this.entries.length !== this.length;
    this.length = this.entries.length;
    this.at = at;
    this.inner.style.width = `${this.x(this.entries.length - 1) + ROOM}px`;
    this.inner.style.height = `${this.height}px`;
    if (grown && this.scrolled.atEnd) this.scroll(root.scrollWidth, root.scrollTop);
    this.draw(true);
  }

  /** Bring the active snapshot into the picture, with some of what is around it. */
  reveal(column: number): void {
    const { root } = this;
    const x = this.x(column);
    const y = this.y(column);
    const margin = Math.min(ROOM, root.clientWidth / 4);
    let { left, top } = this.scrolled;
    if (x - margin < left) left = x - margin;
    else if (x + margin > left + root.clientWidth) left = x + margin - root.clientWidth;
    const { pitch } = this;
    if (y - pitch < top) top = y - pitch;
    else if (y + pitch > top + root.clientHeight - pitch) top = y + 2 * pitch - root.clientHeight;
    this.scroll(left, top);
    this.draw();
  }

  /** What is taken out of the page forgets how far it was scrolled, and what is made narrower hides its end. */
  returned(): void {
    this.scroll(this.scrolled.atEnd ? this.root.scrollWidth : this.scrolled.left, this.scrolled.top);
    this.draw();
  }

  dispose(): void {
    cancelAnimationFrame(this.frame);
    this.sizes.disconnect();
  }

  private scroll(left: number, top: number): void {
    this.root.scrollLeft = left;
    this.root.scrollTop = top;
    this.remember();
  }

  private remember(): void {
    const { scrollLeft, scrollTop, clientWidth, scrollWidth } = this.root;
    const atEnd = scrollLeft + clientWidth >= scrollWidth - this.step;
    this.scrolled = { left: scrollLeft, top: scrollTop, width: clientWidth, atEnd };
  }

  private x(column: number): number {
    return EDGE + this.step * column;
  }

  private y(column: number): number {
    return TOP + this.pitch * this.entries.lane(column);
  }

  private get pitch(): number {
    return this.entries.lanes < MANY ? LANE : CLOSE;
  }

  private get height(): number {
    return TOP + this.pitch * Math.max(this.entries.lanes, 2);
  }

  private draw(anew = false): void {
    this.frame = 0;
    const left = this.root.scrollLeft;
    const from = Math.max(0, Math.floor((left - EDGE) / this.step));
    const to = Math.min(this.entries.length - 1, Math.ceil((left + this.root.clientWidth - EDGE) / this.step));
    if (!anew && from >= this.drawn[0]! && to <= this.drawn[1]!) return;
    this.drawn = [Math.max(0, from - SPARE), Math.min(this.entries.length - 1, to + SPARE)];
    const [first, last] = this.drawn as [number, number];
    this.drawLines(first, last);
    this.drawDots(first, last, anew);
    this.drawTimes(first, last);
  }

  private drawLines(first: number, last: number): void {
    const left = this.x(first) - this.step;
    const width = this.x(last) + this.step - left;
    this.lines.setAttribute("viewBox", `${left} 0 ${width} ${this.height}`);
    this.lines.setAttribute("width", String(width));
    this.lines.setAttribute("height", String(this.height));
    this.lines.style.left = `${left}px`;
    const paths = this.entries.crossing(first, last).flatMap((branch) => {
      const y = TOP + this.pitch * branch.lane;
      const end = Math.min(this.x(branch.last), left + width);
      const start = this.x(branch.first);
      if (this.entries.begins(branch) === branch.source) return [path(`${this.bend(branch.source, start, y)}H${end}`)];
      const line = path(`M${Math.max(start, left)} ${y}H${end}`);
      // Of the line from a snapshot far away the end is left.
      return branch.source === NONE ? [line] : [line, path(`M${start - this.step * 0.8} ${y}H${start}`, "2 4")];
    });
    this.lines.replaceChildren(...paths);
  }

  private bend(source: number, toX: number, toY: number): string {
    const x = this.x(source);
    const y = this.y(source);
    const width = Math.min(BEND, toX - x);
    return `M${x} ${y}C${x + width / 2} ${y} ${x + width / 2} ${toY} ${x + width} ${toY}`;
  }

  private drawDots(first: number, last: number, anew: boolean): void {
    const { active } = this.at;
    const ends = new Map<number, number>(); // by lane, where the words of the next one begin
    const shown = new Map<number, HTMLElement>();
    for (let column = last; column >= first; column -= 1) {
      shown.set(column, (!anew && this.shown.get(column)) || this.dot(column));
      this.name(column, shown.get(column)!, ends);
    }
    if (active !== NONE && !shown.has(active)) shown.set(active, this.dot(active));
    this.shown = shown;
    this.dots.replaceChildren(...[...shown.values()].reverse());
    if (active !== NONE) this.root.setAttribute("aria-activedescendant", this.id + active);
  }

  private dot(column: number): HTMLElement {
    const { entries } = this;
    const option = element("div", "ocnb-snapshot");
    option.id = this.id + column;
    option.dataset.column = String(column);
    option.dataset.kind = entries.kinds[column];
    option.dataset.lane = String(entries.lane(column) % 4);
    option.style.left = `${this.x(column)}px`;
    option.style.top = `${this.y(column)}px`;
    option.setAttribute("role", "option");
    option.setAttribute("aria-label", spoken(entries, column));
    option.setAttribute("aria-setsize", String(entries.length));
    option.setAttribute("aria-posinset", String(column + 1));
    option.setAttribute("aria-selected", String(column === this.at.active));
    if (column === entries.now) option.dataset.now = "";
    if (column === this.at.marked) option.dataset.marked = "";
    return option;
  }

  /** Write at a dot what there is room for. */
  private name(column: number, option: HTMLElement, ends: Map<number, number>): void {
    const lane = this.entries.lane(column);
    const x = this.x(column);
    const words = [column === this.at.marked ? "marked" : "", title(this.entries, column)].filter(Boolean).join(", ");
    const room = Math.floor(((ends.get(lane) ?? Infinity) - x) / CHARACTER);
    if (!words || room < 4) return option.replaceChildren();
    ends.set(lane, x - 8);
    const text = words.length > room ? `${words.slice(0, room - 1)}…` : words;
    const place = this.pitch === LANE ? "ocnb-below" : "ocnb-behind"; // where lanes are close there is no room below
    if (option.textContent !== text) option.replaceChildren(element("span", lane ? place : "", text));
  }

  private drawTimes(first: number, last: number): void {
    const every = Math.ceil(TICK / this.step);
    const ticks: HTMLElement[] = [];
    for (let column = Math.ceil(first / every) * every; column <= last; column += every) {
      const time = element("span", "", tick(this.entries.created[column]!, this.entries.created[column - every]));
      time.style.left = `${this.x(column) - 5}px`;
      ticks.push(time);
    }
    this.times.replaceChildren(...ticks);
  }
}

function path(d: string, dashes = ""): SVGElement {
  const made = document.createElementNS(SVG, "path");
  made.setAttribute("d", d);
  if (dashes) made.setAttribute("stroke-dasharray", dashes);
  return made;
}
