import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { attach } from "../src/lanes";
import { Painter } from "../src/lib/lanes/painter";
import { agents, delta, drawn, lanes, state } from "./lanes.helpers";
import { TestModel } from "./helpers";

const NAMES = Array.from({ length: 12 }, (_, n) => `agent-${n}`);

let close: (() => void)[] = [];

function page(names = NAMES) {
  const known = agents(names);
  for (const lane of known.lanes) Object.assign(lane, { words: "waits, 3 per task", line: "in line" });
  const model = new TestModel(known);
  const el = document.body.appendChild(document.createElement("div"));
  const view = attach(model);
  close.push(view.dispose);
  view.render(el);
  return { model, el };
}

const folds = () => [...document.querySelectorAll<HTMLButtonElement>("[aria-expanded]")];
const isOpen = () => folds().flatMap((fold, n) => (fold.getAttribute("aria-expanded") === "true" ? [n] : []));
const body = (n: number) => document.getElementById(folds()[n]!.getAttribute("aria-controls")!)!;
const begins = (n: number, text = "") => [n, state("streaming", "", { line: "" }), delta(0, text)] as [number, ...unknown[]];
const spoken = () => document.getElementById("ocnb-announcer")?.textContent ?? "";

beforeEach(() => {
  document.body.replaceChildren();
});
afterEach(() => {
  close.forEach((each) => each());
  close = [];
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("many lanes", () => {
  it("are folded, but for the first that work, and those that follow them stay so", async () => {
    const { model } = page();
    expect([folds().length, isOpen()]).toEqual([12, []]);
    for (const told of [[begins(4)], [begins(2), begins(3)], [[4, state("done")], begins(5)]]) {
      model.receive(lanes(...(told as [number, ...unknown[]][])));
      await drawn();
    }
    expect(isOpen()).toEqual([2, 4]);
  });

  it("stay as the reader has left them", async () => {
    const { model } = page();
    model.receive(lanes(begins(4)));
    await drawn();
    folds()[4]!.click();
    model.receive(lanes([4, delta(0, "more")]));
    await drawn();
    expect(isOpen()).toEqual([]);
  });

  it("side by side there are six at most", () => {
    page(NAMES.slice(0, 6));
    expect(folds().length).toBe(0);
    expect(document.querySelector<HTMLElement>(".ocnb-lanes")!.dataset.columns).toBe("3");
  });

  it("say in their line what the last words are, or why there will be none, and draw no text", async () => {
    const { model, el } = page();
    model.receive(lanes(begins(0), begins(1)));
    await drawn();
    const text = `${"first ".repeat(50)}and **the** \`last\`\nwords`;
    model.receive(lanes(begins(7, text), [8, state("failed", "no model at ws://127.0.0.1:18789: refused")]));
    await new Promise((resume) => setTimeout(resume, 300));
    const last = (n: number) => el.querySelectorAll(".ocnb-lane-last")[n]!.textContent!;
    expect(last(7)).toMatch(/^first .* and the last words$/);
    expect(last(7).length).toBeLessThanOrEqual(120);
    expect(last(8)).toBe("no model at ws://127.0.0.1:18789: refused");
    expect(body(7).querySelector(".ocnb-answer")!.textContent).toBe("");
    folds()[7]!.click();
    await drawn();
    expect(body(7).querySelector("code")!.textContent).toBe("last");
    expect(last(7)).toBe("");
  });

  it("open and close by the name and by the line, but not by Stop", async () => {
    const { model, el } = page();
    const heads = [...el.querySelectorAll<HTMLElement>(".ocnb-lane-head")];
    folds()[1]!.click();
    heads[2]!.click();
    expect(isOpen()).toEqual([1, 2]);
    heads[1]!.querySelector<HTMLElement>(".ocnb-lane-words")!.click();
    el.querySelector<HTMLElement>('[aria-label="Stop agent-5"]')!.click();
    expect(isOpen()).toEqual([2]);
    expect(model.sent.at(-1)).toEqual({ kind: "stop", lane: 5 });
    expect(folds().every((fold) => fold.hasAttribute("data-lm-suppress-shortcuts"))).toBe(true);
  });
});

describe("what is in sight", () => {
  it("is drawn, and the rest when it comes there", async () => {
    const looks: ((seen: boolean) => void)[] = [];
    vi.stubGlobal("IntersectionObserver", class {
      constructor(private readonly told: (entries: unknown[]) => void) {}
      observe(target: Element) {
        looks.push((isIntersecting) => this.told([{ target, isIntersecting }]));
      }
    });
    vi.resetModules();
    const { attach } = await import("../src/lanes");
    const { painter } = await import("../src/lib/lanes/painter");
    const model = new TestModel(agents(["near", "far"]));
    const el = document.body.appendChild(document.createElement("div"));
    const view = attach(model);
    close.push(view.dispose);
    view.render(el);
    looks[1]!(false);
    model.receive(lanes([0, delta(0, "one ")], [1, delta(0, "one "), state("streaming", "runs pytest")]));
    await drawn(painter);
    const shown = () => [...el.querySelectorAll(".ocnb-answer")].map((answer) => answer.textContent!.trim());
    expect([shown(), el.querySelectorAll(".ocnb-lane-words")[1]!.textContent]).toEqual([["one", ""], "runs pytest"]);
    looks[1]!(true);
    await drawn(painter);
    expect(shown()).toEqual(["one", "one"]);
    vi.unstubAllGlobals();
  });
});

describe("the painter", () => {
  /** Somebody with so much to paint, each piece of which takes `ms`. */
  function painted(log: string[], name: string, pieces: number, ms: number, clock: { now: number }) {
    return {
      paint(deadline: number) {
        do {
          clock.now += ms;
          pieces -= 1;
        } while (pieces > 0 && clock.now < deadline);
        log.push(name);
        return pieces > 0;
      },
      painted: () => void log.push(`${name}!`),
    };
  }

  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "requestAnimationFrame"] }));
  const next = () => {
    vi.advanceTimersToNextFrame();
    vi.advanceTimersByTime(40);
  };

  it("gives all who wait their turn, in the time of one frame, and goes on in the next", () => {
    const clock = { now: 0 };
    vi.spyOn(performance, "now").mockImplementation(() => clock.now);
    const painter = new Painter();
    const log: string[] = [];
    const one = painted(log, "one", 20, 1, clock);
    const all = [one, painted(log, "two", 3, 1, clock), painted(log, "three", 1, 1, clock)];
    all.forEach((who) => painter.ask(who));
    painter.ask(one); // once
    next();
    // 8 ms: turns of 2 ms, and what is measured is measured after all writing
    expect(log.join(" ")).toBe("one two three one two one! two! three!");
    expect(all.map((who) => painter.waits(who))).toEqual([true, false, false]);
    log.length = 0;
    next();
    expect([clock.now, log.filter((entry) => entry === "one").length]).toEqual([16, 4]);
    next();
    expect(painter.waits(one)).toBe(false);
  });

  it("draws fewer at a time where a browser takes long to make something of it, and all in the end", () => {
    const clock = { now: 0 };
    vi.spyOn(performance, "now").mockImplementation(() => clock.now);
    const painter = new Painter();
    const log: string[] = [];
    const all = Array.from({ length: 12 }, (_, n) => ({ ...painted(log, `${n}`, 1, 0, clock), painted: () => void (clock.now += 10) }));
    const drawn: number[] = [];
    for (let n = 0; n < 6; n += 1) {
      all.forEach((who) => painter.ask(who));
      log.length = 0;
      next();
      drawn.push(log.length);
    }
    expect(drawn).toEqual([12, 6, 4, 5, 4, 5]); // 4 take 40 ms, and 5 more than is meant
    for (let n = 0; n < 4; n += 1) next();
    expect(all.some((who) => painter.waits(who))).toBe(false);
  });

  it("lets nobody wait for ever, however long the others take", () => {
    const clock = { now: 0 };
    vi.spyOn(performance, "now").mockImplementation(() => clock.now);
    const painter = new Painter();
    const log: string[] = [];
    for (const name of ["a", "b", "c"]) painter.ask(painted(log, name, 5, 50, clock));
    for (let n = 0; n < 6; n += 1) next();
    expect(log.filter((entry) => !entry.endsWith("!"))).toEqual(["a", "b", "c", "a", "b", "c"]);
  });
});

describe("for a screen reader", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));

  it("says who has ended, several in one sentence and not too often, and the end at once", () => {
    const { model } = page();
    const end = (n: number, status = "done"): [number, unknown] => [n, state(status)];
    model.receive(lanes(begins(0), begins(1)));
    expect(spoken()).toBe("12 agents started");
    vi.advanceTimersByTime(10_000);
    model.receive(lanes(end(0)));
    vi.advanceTimersByTime(200);
    model.receive(lanes(end(1, "failed"), end(2)));
    expect(spoken()).toBe("12 agents started");
    vi.advanceTimersByTime(200);
    expect(spoken()).toBe("agent-0 and agent-2 done, agent-1 failed, 3 of 12");
    model.receive(lanes(end(3), end(4), end(5), end(6)));
    vi.advanceTimersByTime(1000);
    expect(spoken()).toMatch(/3 of 12$/);
    vi.advanceTimersByTime(3000);
    expect(spoken()).toBe("4 agents done, 7 of 12");
    model.receive(lanes(end(8)));
    model.receive({ ...lanes([7, state("done", "", { tokens: 1202 })]), pool: { status: "failed", words: "7 of 12 done" } });
    expect(spoken()).toBe("agents 7 of 12 done, 1,204 tokens");
    vi.advanceTimersByTime(10_000);
    expect(spoken()).toBe("agents 7 of 12 done, 1,204 tokens");
  });

  it("says nothing of what was over when the page came", () => {
    document.getElementById("ocnb-announcer")?.remove();
    const known = agents(["a", "b"]);
    known.lanes[0] = { ...known.lanes[0]!, status: "done" };
    const model = new TestModel(known);
    close.push(attach(model).dispose);
    vi.advanceTimersByTime(10_000);
    expect(spoken()).toBe("");
    model.receive(lanes([1, state("done")]));
    vi.advanceTimersByTime(10_000);
    expect(spoken()).toBe("b done, 2 of 2");
  });

  it("finds regions with names that say whether they grow", () => {
    page(["a", "b"]);
    const regions = [...document.querySelectorAll("[role=region]")];
    expect(regions.map((region) => [region.getAttribute("aria-label"), region.getAttribute("aria-busy")])).toEqual([["a", "true"], ["b", "true"]]);
    expect(document.querySelector("[role=group]")!.getAttribute("aria-label")).toBe("2 agents");
    expect(document.querySelectorAll("[aria-live]").length).toBeLessThanOrEqual(1);
  });
});
