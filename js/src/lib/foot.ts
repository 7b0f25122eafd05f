/** The one line below the answer: state, level, tokens, seconds, speed, and the way to stop. */

import type { Answer } from "./answer";
import { button, element, setText } from "./dom";
import { seconds, stateWords, tokens, tone } from "./words";

export class Foot {
  readonly root = element("div", "ocnb-foot");
  private readonly state = this.cell("ocnb-state");
  private readonly words = element("span");
  private readonly level = this.cell();
  private readonly tokens = this.cell("", 10);
  private readonly seconds = this.cell("", 5);
  private readonly rate = this.cell("", 5);
  private readonly end = this.cell("ocnb-end");
  private readonly stop: HTMLButtonElement;

  constructor(stop: () => void) {
    this.state.append(element("span", "ocnb-dot"), this.words);
    this.stop = button("Stop", stop);
    this.end.append(this.stop);
  }

  update(answer: Answer, stopping: boolean): void {
    const cut = answer.status === "reconnecting";
    this.root.dataset.tone = tone(answer);
    setText(this.words, stateWords(answer, stopping));
    setText(this.level, cut ? "" : answer.level);
    setText(this.tokens, tokens(answer.tokens) + (cut && answer.tokens ? (answer.tokens === 1 ? " is safe" : " are safe") : ""));
    setText(this.seconds, cut ? "" : seconds(answer.elapsed));
    const streams = answer.status === "streaming" || answer.status === "waiting";
    setText(this.rate, streams && answer.rate >= 0.5 ? `${Math.round(answer.rate)}/s` : "");
    this.stop.disabled = stopping;
    this.stop.hidden = answer.final;
  }

  /** `width` in digits is kept free, so that what stands behind a growing number stays where it is. */
  private cell(className = "", width = 0): HTMLElement {
    const made = element("span", className);
    if (width) made.style.minWidth = `${width}ch`;
    return this.root.appendChild(made);
  }
}
