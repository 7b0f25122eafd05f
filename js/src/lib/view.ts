/** One place on the page that shows an answer. It only reads the answer, so any two of them are equal. */

import type { Answer } from "./answer";
import type { Decide } from "./asks";
import { Asks } from "./asks";
import { element } from "./dom";
import { Foot } from "./foot";
import { Markdown } from "./markdown";
import { Steps } from "./steps";

const BUDGET = 8; // ms of a frame that may go into Markdown

export class View {
  // JupyterLab's own class gives the text the look it has once it is saved.
  readonly root = element("div", "ocnb jp-RenderedHTMLCommon");
  private readonly steps = new Steps();
  private readonly body = element("div", "ocnb-answer");
  private readonly asks: Asks;
  private readonly foot: Foot;
  private readonly markdown = new Markdown(this.body);
  private shown = 0;
  private ended = false;

  constructor(into: string, stop: () => void, decide: Decide) {
    this.foot = new Foot(stop);
    this.asks = new Asks(decide, () => this.root);
    this.body.setAttribute("role", "region");
    this.body.setAttribute("aria-label", into ? `answer, goes to ${into}` : "answer");
    // Under the answer, so that no line of it moves when it is asked and decided.
    this.root.append(this.steps.root, this.body, this.asks.root, this.foot.root);
  }

  /** Show what is new. True when there is more than one frame can take. */
  update(answer: Answer, stopping: boolean): boolean {
    this.root.dataset.status = answer.status;
    this.steps.update(answer);
    if (this.shown < answer.text.length) {
      this.shown += this.markdown.write(answer.text.slice(this.shown), performance.now() + BUDGET);
    }
    const more = this.shown < answer.text.length;
    if (answer.final && !more) {
      if (!this.ended) this.markdown.end();
      this.ended = true;
    } else if (answer.text || !answer.steps.size) {
      this.markdown.cursor();
    }
    this.body.setAttribute("aria-busy", String(!this.ended));
    this.asks.update(answer, stopping);
    this.foot.update(answer, stopping);
    return more;
  }

  tick(answer: Answer, stopping: boolean): void {
    this.asks.tick(answer);
    this.foot.update(answer, stopping);
  }
}
