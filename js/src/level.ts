/** The live view of a level picker: what the kernel says of the levels, in every place on the page that waits for it. */

import { announce } from "./lib/announce";
import { Picker } from "./lib/level/picker";
import type { State } from "./lib/level/state";
import { EMPTY } from "./lib/level/state";
import type { Model } from "./lib/model";
import { Places } from "./lib/places";
import { installStyle } from "./lib/style";
import { widget } from "./lib/widget";

declare const __LEVEL_CSS__: string;

const REST = 150; // ms on a level that an arrow key led to before it is chosen
const TYPED = 250; // ms without another character before estimates are asked for
const PATIENCE = 1200; // ms for an answer before it is said why there is none
const LATE = "asked; the kernel answers when it is free";

function attach(model: Model) {
  const loose = new Set<Picker>(); // views in places of their own
  let state = read();
  let wanted: number | undefined; // chosen here, and not answered yet
  let asked = Math.floor(Math.random() * 2 ** 30); // two pages do not take each other's answers for theirs
  let text = "";
  let late = false;
  let resting: ReturnType<typeof setTimeout> | undefined;
  let typing: ReturnType<typeof setTimeout> | undefined;
  let waiting: ReturnType<typeof setTimeout> | undefined;

  function read(): State {
    return { ...EMPTY, ...(model.get("state") as Partial<State> | null) };
  }

  const places = new Places("level", String(model.get("place")), make);
  const views = () => [...places.views, ...loose];

  function make(): Picker {
    const picker = new Picker({ choose, type, use: (on) => model.send({ kind: "use", on }) });
    picker.typed(text);
    show(picker);
    return picker;
  }

  function show(picker: Picker): void {
    picker.show({ ...state, chosen: wanted ?? state.chosen, ...(late ? { line: LATE, tone: "" } : {}) });
  }

  function choose(level: number, passed: boolean): void {
    wanted = level;
    asked += 1;
    clearTimeout(resting);
    resting = setTimeout(send, passed ? REST : 0, level, asked);
    views().forEach(show);
  }

  function send(level: number, ask: number): void {
    model.send({ kind: "choose", level, ask });
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      late = true;
      announce(LATE);
      views().forEach(show);
    }, PATIENCE);
  }

  function type(typed: string, by?: Picker): void {
    text = typed;
    views().forEach((view) => view !== by && view.typed(typed));
    clearTimeout(typing);
    if (by) typing = setTimeout(() => model.send({ kind: "prompt", text }), TYPED);
  }

  function take(message: unknown): void {
    const { kind, text: typed } = message as { kind: string; text: string };
    if (kind === "typed" && !text) type(typed);
  }

  function changed(): void {
    const before = state;
    state = read();
    if (state.answered === asked) {
      wanted = undefined;
      late = false;
      clearTimeout(waiting);
    }
    tell(before);
    views().forEach(show);
  }

  /** What a screen reader is told: not the level that was chosen on this page, which it has read with the focus. */
  function tell(before: State): void {
    const [auto] = state.choices;
    const said: string[] = [];
    const label = state.choices[state.chosen]?.label;
    const heard = document.activeElement?.matches(`.ocnb-level[aria-label="${label}"]`);
    if (state.chosen !== before.chosen && !heard) said.push(`level ${label}`);
    if (state.said && state.said !== before.said) said.push(state.said);
    if (text && auto && auto.figure !== before.choices[0]?.figure) said.push(`auto ${auto.figure}`);
    if (said.length) announce(said.join(", "));
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
    [resting, typing, waiting].forEach(clearTimeout);
    places.dispose();
    model.off("change", changed);
    model.off("msg:custom", take);
  }

  installStyle("ocnb-level-style", __LEVEL_CSS__);
  model.on("change", changed);
  model.on("msg:custom", take);
  model.send({ kind: "hello" });
  return { render, dispose };
}

export default widget(attach);
