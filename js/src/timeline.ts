/** The live view of a store's snapshots: what the kernel tells, in every place on the page that waits for it. */

import type { News } from "./lib/timeline/entries";
import { Entries } from "./lib/timeline/entries";
import type { Model } from "./lib/model";
import { Places } from "./lib/places";
import { installStyle } from "./lib/style";
import type { Answer } from "./lib/timeline/timeline";
import { Timeline } from "./lib/timeline/timeline";
import { widget } from "./lib/widget";

declare const __CSS__: string;
declare const __TIMELINE_CSS__: string;

const PATIENCE = 500; // ms before missing news are asked for again

function attach(model: Model) {
  const start = performance.now();
  const entries = new Entries();
  const waiting = new Map<number, (answer: Answer) => void>();
  const loose = new Set<Timeline>(); // views in places of their own
  let places: Places<Timeline> | undefined;
  let asked = -Infinity;
  let number = 0;

  const views = () => [...(places?.views ?? []), ...loose];
  const make = () => new Timeline(entries, ask, (on) => model.send({ kind: "use", on }));

  function ask(content: Record<string, unknown>): Promise<Answer> {
    number += 1;
    model.send({ ...content, ask: number });
    return new Promise((resolve) => waiting.set(number, resolve));
  }

  function sync(): void {
    asked = performance.now();
    model.send({ kind: "sync", have: entries.length, epoch: entries.epoch });
  }

  function take(message: unknown): void {
    const { kind, ask } = message as { kind: string; ask: number };
    if (kind === "answer") {
      waiting.get(ask)?.(message as Answer);
      waiting.delete(ask);
    } else if (kind === "news") {
      if (!entries.apply(message as News)) {
        if (performance.now() - asked > PATIENCE) sync();
        return;
      }
      // The picture stays until there is something to put in its place.
      if (entries.length && !places) {
        places = new Places("timeline", String(model.get("place")), make);
        requestAnimationFrame(() => setTimeout(() => performance.measure("ocnb-timeline", { start })));
      }
      views().forEach((view) => view.update());
    }
  }

  function render(el: HTMLElement): () => void {
    const view = make();
    loose.add(view);
    el.append(view.root);
    requestAnimationFrame(() => view.returned());
    return () => {
      loose.delete(view);
      view.dispose();
    };
  }

  function dispose(): void {
    places?.dispose();
    model.off("msg:custom", take);
  }

  installStyle("ocnb-style", __CSS__);
  installStyle("ocnb-timeline-style", __TIMELINE_CSS__);
  model.on("msg:custom", take);
  sync();
  return { render, dispose };
}

export default widget(attach);
