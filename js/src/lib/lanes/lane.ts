/** One lane on the page: a name and its state, the text in a box that follows its end, and what it took. */

import { Asks } from "../asks";
import { button, element, keepKeys, setText } from "../dom";
import { Markdown } from "../markdown";
import { Steps } from "../steps";
import { dollars, seconds, stateWords, tokens, tone } from "../words";
import type { Painted } from "./painter";
import { painter } from "./painter";
import { watch } from "./sight";
import type { Lane } from "./work";

const LONGEST = 28; // characters of a state in the head; a longer one has a line of its own under the text
const TAIL = 120; // characters of the last words
const END = 4; // pixels from the end of the text that still are its end

/** What a lane has done for it. */
export interface Deeds {
  stop(lane: Lane): void;
  decide(lane: Lane, id: string, allow: boolean): void;
  /** All that it has to show is on the page. */
  drawn(view: LaneView): void;
}

let made = 0;

export class LaneView implements Painted {
  readonly root = element("div", "ocnb-lane");
  private readonly head = this.root.appendChild(element("div", "ocnb-lane-head"));
  private readonly name: HTMLElement;
  private readonly words = element("span", "ocnb-lane-words");
  private readonly last = element("span", "ocnb-lane-last");
  private readonly tail = this.last.appendChild(element("bdi"));
  private readonly figures = element("span", "ocnb-lane-figures");
  private readonly stop: HTMLButtonElement;
  private readonly body = element("div", "ocnb-lane-text");
  private readonly steps = new Steps();
  private readonly answer = element("div", "ocnb-answer");
  private readonly asks: Asks;
  private readonly why = element("p", "ocnb-lane-why");
  private readonly markdown = new Markdown(this.answer);
  private shown = 0;
  private ended = false;
  private seen = true;
  private follows = true;
  private scrolled = 0;
  private labelled = "";

  /** With `folds` it is one line that opens; without, it stands beside others. */
  constructor(
    readonly lane: Lane,
    private readonly deeds: Deeds,
    private readonly folds: boolean,
  ) {
    this.name = folds ? button("", () => this.open(this.body.hidden)) : element("b");
    this.stop = button("Stop", () => this.lane.stopping || this.deeds.stop(this.lane));
    const decide = (id: string, allow: boolean) => deeds.decide(lane, id, allow);
    this.asks = new Asks(decide, () => (this.folded ? this.name : this.body));
    this.body.append(this.steps.root, this.answer, this.why);
    this.body.setAttribute("role", "region");
    this.body.tabIndex = 0;
    keepKeys(this.body);
    this.body.addEventListener("scroll", () => this.scroll(), { passive: true });
    if (folds) this.fold();
    else this.unfolded();
    this.label();
    watch(this.root, (seen) => this.look(seen));
  }

  get folded(): boolean {
    return this.body.hidden;
  }

  open(open: boolean): void {
    this.body.hidden = !open;
    this.name.setAttribute("aria-expanded", String(open));
    this.follows = true;
    this.tick();
    painter.ask(this);
  }

  paint(deadline: number): boolean {
    const { answer } = this.lane;
    this.label();
    this.asks.update(answer, this.lane.stopping);
    if (answer.final) this.tick();
    if (this.folded || !this.seen) return false;
    this.steps.update(answer);
    // What led to it is one line from the first word on, as in the saved form; whoever opens it has it open.
    if (!this.shown && answer.text) this.steps.root.open = false;
    if (this.shown < answer.text.length) this.shown += this.markdown.write(answer.text.slice(this.shown), deadline);
    const more = this.shown < answer.text.length;
    if (answer.final && !more) {
      if (!this.ended) this.markdown.end();
      this.ended = true;
    } else if (answer.text || (!answer.steps.size && !this.lane.line)) {
      this.markdown.cursor();
    }
    return more;
  }

  painted(): void {
    if (this.follows && !this.folded && this.seen) {
      this.body.scrollTop = this.body.scrollHeight;
      this.scrolled = this.body.scrollTop;
    }
    if (!painter.waits(this)) this.deeds.drawn(this);
  }

  /** What changes without a message: the clock; and what would be restless if it changed with each. */
  tick(): void {
    const { answer, line, cost } = this.lane;
    if (!this.seen && !answer.final) return;
    this.asks.tick(answer);
    const took = [tokens(answer.tokens), seconds(answer.elapsed), answer.final || cost ? dollars(cost) : ""];
    setText(this.figures, line || took.filter(Boolean).join(" · "));
    if (this.folds) setText(this.tail, this.folded ? this.why.textContent || lastWords(answer.text) : "");
  }

  /** Its name and state, where they changed. */
  private label(): void {
    const { answer, name, line, stopping } = this.lane;
    const words = stateWords(answer, stopping);
    const label = JSON.stringify([name, words, line, answer.status, stopping]);
    if (label === this.labelled) return;
    this.labelled = label;
    const long = words.length > LONGEST;
    this.name.textContent = this.name.title = name;
    this.words.textContent = long ? answer.status : words;
    this.why.textContent = long ? words : "";
    this.last.dir = long ? "ltr" : "rtl"; // of a sentence the end is cut where there is no room, of last words the beginning
    this.root.dataset.tone = tone(answer);
    this.body.setAttribute("aria-label", name);
    this.body.setAttribute("aria-busy", String(!answer.final));
    this.tick();
    this.stop.setAttribute("aria-label", `Stop ${name}`);
    this.stop.setAttribute("aria-disabled", String(stopping));
    if (!answer.final) return;
    if (document.activeElement === this.stop) (this.folded ? this.name : this.body).focus({ preventScroll: true });
    this.stop.hidden = true;
  }

  private fold(): void {
    this.body.id = `ocnb-lane-${(made += 1)}-${Math.random().toString(36).slice(2)}`;
    this.name.setAttribute("aria-controls", this.body.id);
    this.name.setAttribute("aria-expanded", "false");
    this.body.hidden = true;
    this.head.append(this.name, this.words, this.last, this.figures, this.stop);
    this.root.append(this.body, this.asks.root); // also where it is folded
    this.head.addEventListener("click", (event) => {
      if (!(event.target as Element).closest("button")) this.open(this.folded);
    });
  }

  private unfolded(): void {
    const foot = element("div", "ocnb-lane-foot");
    this.head.append(this.name, this.words);
    foot.append(this.figures, this.stop);
    this.root.append(this.body, this.asks.root, foot);
  }

  private look(seen: boolean): void {
    this.seen = seen;
    if (!seen) return;
    this.tick();
    painter.ask(this);
  }

  /** The reader decides whether the end is followed; a box that grew or shrank under them does not. */
  private scroll(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.body;
    if (scrollTop < this.scrolled - 1) this.follows = false;
    if (scrollHeight - scrollTop - clientHeight <= END) this.follows = true;
    this.scrolled = scrollTop;
  }
}

/** The end of the text without its marks, from a word's beginning on. */
function lastWords(text: string): string {
  const plain = text.slice(-2 * TAIL).replace(/[`*_#>|~]+/g, "").replace(/\s+/g, " ").trim();
  return plain.length <= TAIL ? plain : plain.slice(-TAIL).replace(/^\S*\s/, "");
}
