/** The live view of agents side by side: one state of the work per widget model, and any number of boards that show it. */

import { keeper } from "./lib/keeper";
import { Lag } from "./lib/lag";
import { Board } from "./lib/lanes/board";
import type { LaneView } from "./lib/lanes/lane";
import { painter } from "./lib/lanes/painter";
import { Teller } from "./lib/lanes/teller";
import type { Lane } from "./lib/lanes/work";
import { Work } from "./lib/lanes/work";
import type { Model } from "./lib/model";
import { installStyle } from "./lib/style";

declare const __CSS__: string;
declare const __ASKS_CSS__: string;
declare const __LANES_CSS__: string;

const TICK = 250; // ms between two looks at clocks and counts
const PATIENCE = 500; // ms before missing text is asked for again

/** Start listening. `early` are the messages that came while this module was being fetched, oldest first. */
export function attach(model: Model, early: unknown[] = []) {
  const work = new Work();
  const teller = new Teller();
  const lag = new Lag((ms) => work.final || model.send({ kind: "lag", ms }));
  const boards = new Set<Board>();
  const waiting = new Map<LaneView, number>(); // since what was sent at that moment
  let ticker: ReturnType<typeof setTimeout> | undefined;
  let asked = -Infinity;
  let stopping = false;

  function ask(lanes: Lane[]): void {
    asked = performance.now();
    const have = lanes.map((lane) => [work.lanes.indexOf(lane), lane.answer.text.length, lane.answer.stepsLength]);
    model.send({ kind: "sync", lanes: have });
  }

  function show(told: Lane[], at?: unknown): void {
    teller.tell(work);
    const news = new Set(told);
    for (const board of boards) {
      painter.ask(board);
      for (const view of board.lanes.filter(({ lane }) => news.has(lane))) {
        painter.ask(view);
        if (typeof at === "number" && !waiting.has(view)) waiting.set(view, at);
      }
    }
    if (work.final) clearTimeout(ticker);
    if (!boards.size) lag.skip();
  }

  function drawn(view?: LaneView): void {
    if (view) waiting.delete(view);
    lag.drawn(waiting.size ? Math.min(...waiting.values()) : null);
  }

  function take(message: unknown): void {
    const { told, short } = work.apply(message);
    if (short.length && performance.now() - asked > PATIENCE) ask(short);
    const at = (message as { at?: unknown } | null)?.at;
    lag.came(at);
    show(told, at);
  }

  function absorb(): void {
    work.absorb((name) => model.get(name));
    show(work.lanes);
  }

  function stop(lane: Lane): void {
    lane.stopping = true;
    model.send({ kind: "stop", lane: work.lanes.indexOf(lane) });
    show([lane]);
  }

  function decide(lane: Lane, id: string, allow: boolean): void {
    if (lane.stopping || !lane.answer.choose(id, allow)) return;
    model.send({ kind: allow ? "allow" : "deny", lane: work.lanes.indexOf(lane), id });
    show([lane]);
  }

  function stopAll(): void {
    stopping = true;
    for (const lane of work.lanes) lane.stopping = true;
    model.send({ kind: "stop" });
    show(work.lanes);
  }

  function render(el: HTMLElement): () => void {
    installStyle("ocnb-style", __CSS__);
    installStyle("ocnb-asks-style", __ASKS_CSS__);
    installStyle("ocnb-lanes-style", __LANES_CSS__);
    const board = new Board(work, { stop, decide, stopAll, stopping: () => stopping, drawn }, String(model.get("into") ?? ""));
    boards.add(board);
    el.append(board.root);
    show(work.lanes);
    if (!work.final && ticker === undefined) tick();
    const keep = keeper(el, board.root);
    return () => {
      boards.delete(board);
      board.lanes.forEach((view) => waiting.delete(view));
      if (work.final) keep();
    };
  }

  /** At the same moments in all cells of a page, so that a frame is drawn for all of them together. */
  function tick(): void {
    boards.forEach((board) => board.tick());
    ticker = setTimeout(tick, TICK - (performance.now() % TICK));
  }

  function dispose(): void {
    clearTimeout(ticker);
    teller.quiet();
  }

  absorb();
  early.forEach(take);
  model.on("msg:custom", take);
  model.on("change", absorb);
  ask(work.lanes);
  return { render, dispose };
}
