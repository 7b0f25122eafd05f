/** The live view of a pool: its size, its limit and its use, in every place on the page that waits for it. */

import { announce } from "./lib/announce";
import type { Model } from "./lib/model";
import { Places } from "./lib/places";
import { Gauge } from "./lib/pool/gauge";
import type { Setting, State } from "./lib/pool/state";
import { EMPTY } from "./lib/pool/state";
import { installStyle } from "./lib/style";
import { widget } from "./lib/widget";

declare const __POOL_CSS__: string;

const REST = 150; // ms without another step before the kernel is asked
const PATIENCE = 1200; // ms for an answer before it is said why there is none
const LATE = "asked; the kernel answers when it is free";

type Wishes = Partial<Record<Setting, number>>;

function attach(model: Model) {
  const loose = new Set<Gauge>(); // views in places of their own
  let state = read();
  let wanted: Wishes = {}; // set here, and not answered yet
  let unsent: Wishes = {}; // those of them that the kernel has not been asked for
  let asked = Math.floor(Math.random() * 2 ** 30); // two pages do not take each other's answers for theirs
  let late = false;
  let resting: ReturnType<typeof setTimeout> | undefined;
  let waiting: ReturnType<typeof setTimeout> | undefined;

  function read(): State {
    return { ...EMPTY, ...(model.get("state") as Partial<State> | null) };
  }

  const places = new Places("pool", String(model.get("place")), make);
  const show = () => [...places.views, ...loose].forEach(draw);

  function make(): Gauge {
    const gauge = new Gauge({ set, use: (on) => model.send({ kind: "use", on }) });
    draw(gauge);
    return gauge;
  }

  function draw(gauge: Gauge): void {
    gauge.show({ ...state, ...wanted, ...(late ? { line: LATE, tone: "" } : {}) });
  }

  function set(setting: Setting, value: number): void {
    wanted = { ...wanted, [setting]: value };
    unsent = { ...unsent, [setting]: value };
    asked += 1;
    clearTimeout(resting);
    resting = setTimeout(send, REST);
    show();
  }

  function send(): void {
    model.send({ kind: "set", ...unsent, ask: asked });
    unsent = {};
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      late = true;
      announce(LATE);
      show();
    }, PATIENCE);
  }

  function changed(): void {
    const before = state;
    state = read();
    if (state.answered === asked) {
      wanted = {};
      late = false;
      clearTimeout(waiting);
    }
    tell(before);
    show();
  }

  /** What a screen reader is told: no use, which changes all the time, and no number that it has read with the focus. */
  function tell(before: State): void {
    const said: string[] = [];
    const news = (setting: Setting) => state[setting] !== before[setting] && !heard(state[setting]);
    if (news("max_threads")) said.push(`${state.max_threads} ${state.max_threads === 1 ? "thread" : "threads"}`);
    if (news("max_per_task")) said.push(`at most ${state.max_per_task} per task`);
    if (state.line && state.line !== before.line) said.push(state.line);
    if (said.length) announce(said.join(", "));
  }

  function heard(value: number): boolean {
    const focused = document.activeElement;
    return !!focused?.matches(".ocnb-pool input") && focused.getAttribute("aria-valuenow") === String(value);
  }

  function render(el: HTMLElement): () => void {
    const view = make();
    loose.add(view);
    el.append(view.root);
    return () => {
      loose.delete(view);
      view.dispose();
    };
  }

  function dispose(): void {
    [resting, waiting].forEach(clearTimeout);
    places.dispose();
    model.off("change", changed);
  }

  installStyle("ocnb-pool-style", __POOL_CSS__);
  model.on("change", changed);
  return { render, dispose };
}

export default widget(attach);
