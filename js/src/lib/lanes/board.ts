/** One place on the page that shows agents at work: their lanes in one box, and under it a line for the whole. */

import { button, element, setText } from "../dom";
import { dollars, seconds, tokens, tone } from "../words";
import type { Deeds } from "./lane";
import { LaneView } from "./lane";
import type { Painted } from "./painter";
import type { Work } from "./work";

const MANY = 6; // lanes; more are folded to a line each
const OPEN = 2; // of them, the first that work are open

export class Board implements Painted {
  // JupyterLab's own class gives the text the look it has once it is saved.
  readonly root = element("div", "ocnb ocnb-work jp-RenderedHTMLCommon");
  readonly lanes: LaneView[];
  private readonly box = this.root.appendChild(element("div", "ocnb-lanes"));
  private readonly progress = this.root.appendChild(element("div", "ocnb-progress")).appendChild(element("i"));
  private readonly foot = this.root.appendChild(element("div", "ocnb-foot"));
  private readonly words = element("span");
  private readonly count = this.foot.appendChild(element("span"));
  private readonly figures = this.foot.appendChild(element("span"));
  private readonly stop: HTMLButtonElement;
  private readonly opened = new Set<LaneView>();

  constructor(
    private readonly work: Work,
    private readonly deeds: Deeds & { stopAll(): void; stopping(): boolean; drawn(view?: LaneView): void },
    into: string,
  ) {
    const many = work.lanes.length > MANY;
    this.box.dataset.live = "true";
    if (many) this.box.dataset.many = "true";
    if (work.lanes.length > 4) this.box.dataset.rows = "true";
    this.box.dataset.columns = String(many ? 1 : work.lanes.length > 4 ? 3 : work.lanes.length);
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", into ? `${work.lanes.length} agents, go to ${into}` : `${work.lanes.length} agents`);
    this.lanes = work.lanes.map((lane) => new LaneView(lane, deeds, many));
    this.box.append(...this.lanes.map(({ root }) => root));
    const state = element("span", "ocnb-state");
    state.append(element("span", "ocnb-dot"), this.words);
    this.stop = button("Stop all", () => deeds.stopping() || deeds.stopAll());
    this.foot.prepend(state);
    this.foot.appendChild(element("span", "ocnb-end")).append(this.stop);
    if (many) this.box.style.setProperty("--name", `${Math.min(18, Math.max(...work.lanes.map(({ name }) => name.length)))}ch`);
  }

  paint(): boolean {
    const { whole, lanes, ended, final, count } = this.work;
    this.openFirst();
    this.foot.dataset.tone = tone(whole);
    const stopping = this.deeds.stopping() && !final;
    setText(this.words, stopping ? "stopping" : final ? whole.words || whole.status : whole.status);
    setText(this.count, final ? "" : whole.words || count);
    this.progress.style.transform = `scaleX(${lanes.length ? ended.length / lanes.length : 0})`;
    this.stop.setAttribute("aria-disabled", String(stopping));
    if (final) this.end();
    return false;
  }

  painted(): void {
    this.deeds.drawn();
  }

  tick(): void {
    const { tokens: count, cost, whole } = this.work;
    for (const view of this.lanes) if (!view.lane.answer.final) view.tick();
    const took = [tokens(count), seconds(whole.elapsed), cost ? dollars(cost) : ""];
    setText(this.figures, took.filter(Boolean).join(" · "));
  }

  /** Of many, those that are the first at work; what the reader opens or closes later is left as it is. */
  private openFirst(): void {
    for (const view of this.lanes) {
      const { line, answer } = view.lane;
      if (this.opened.size >= OPEN) return;
      if (!view.folded || line || answer.final || this.opened.has(view)) continue;
      view.open(true);
      this.opened.add(view);
    }
  }

  private end(): void {
    this.tick();
    delete this.box.dataset.live;
    this.stop.hidden = true;
  }
}
