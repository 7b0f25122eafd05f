/** The live view of one run: one answer per widget model, and any number of views that show it. */

import { Announcer } from "./lib/announce";
import { Answer } from "./lib/answer";
import { keeper } from "./lib/keeper";
import { Lag } from "./lib/lag";
import type { Model } from "./lib/model";
import { installStyle } from "./lib/style";
import { View } from "./lib/view";

declare const __CSS__: string;
declare const __ASKS_CSS__: string;

const TICK = 200; // ms between two looks at the clock of the foot
const PATIENCE = 500; // ms before missing text is asked for again

/** Start listening. `early` are the messages that came while this module was being fetched, oldest first. */
export function attach(model: Model, early: unknown[] = []) {
  const answer = new Answer();
  const announcer = new Announcer();
  const lag = new Lag((ms) => answer.final || model.send({ kind: "lag", ms }));
  const views = new Set<View>();
  let frame = 0;
  let ticker: ReturnType<typeof setInterval> | undefined;
  let asked = -Infinity;
  let stopping = false;

  function ask(): void {
    asked = performance.now();
    model.send({ kind: "sync", have: answer.text.length, steps: answer.stepsLength });
  }

  function draw(): void {
    frame = 0;
    const busy = [...views].filter((view) => view.update(answer, stopping));
    if (busy.length) changed();
    else lag.drawn();
  }

  function changed(): void {
    announcer.tell(answer);
    if (answer.final) clearInterval(ticker);
    if (views.size) frame ||= requestAnimationFrame(draw);
    else lag.skip();
  }

  function take(message: unknown): void {
    if (!answer.apply(message) && performance.now() - asked > PATIENCE) ask();
    lag.came((message as { at?: unknown } | null)?.at);
    changed();
  }

  function absorb(): void {
    answer.absorb((name) => model.get(name));
    changed();
  }

  function stop(): void {
    stopping = true;
    model.send({ kind: "stop" });
    for (const view of views) view.tick(answer, stopping);
  }

  function decide(id: string, allow: boolean): void {
    if (stopping || !answer.choose(id, allow)) return;
    model.send({ kind: allow ? "allow" : "deny", id });
    changed();
  }

  function render(el: HTMLElement): () => void {
    installStyle("ocnb-style", __CSS__);
    installStyle("ocnb-asks-style", __ASKS_CSS__);
    const view = new View(String(model.get("into") ?? ""), stop, decide);
    views.add(view);
    el.append(view.root);
    changed();
    if (!answer.final) ticker ??= setInterval(() => views.forEach((each) => each.tick(answer, stopping)), TICK);
    const keep = keeper(el, view.root);
    return () => {
      if (!answer.final || !keep()) views.delete(view);
    };
  }

  function dispose(): void {
    if (!answer.final) cancelAnimationFrame(frame); // the end may have come with the same frame, and what is kept shows it
    clearInterval(ticker);
    announcer.quiet();
  }

  absorb();
  early.forEach(take);
  model.on("msg:custom", take);
  model.on("change", absorb);
  ask();
  return { render, dispose };
}
