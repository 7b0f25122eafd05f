import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { attach } from "../src/lanes";
import { LaneView } from "../src/lib/lanes/lane";
import { painter } from "../src/lib/lanes/painter";
import { agents, delta, drawn, lanes, state } from "./lanes.helpers";
import { TestModel } from "./helpers";

let open: { render(el: HTMLElement): () => void; dispose(): void }[] = [];

function start(model: TestModel, early: unknown[] = []) {
  const view = attach(model, early);
  open.push(view);
  return view;
}

const place = (): HTMLElement => document.body.appendChild(document.createElement("div"));

/** A page with one board of these agents. */
function page(names: string[], more: Record<string, unknown> = {}) {
  const model = new TestModel({ ...agents(names), ...more });
  const el = place();
  const view = start(model);
  const leave = view.render(el);
  const lane = (name: string) => el.querySelector<HTMLElement>(`[role=region][aria-label="${name}"]`)!.closest<HTMLElement>(".ocnb-lane")!;
  const said = (name: string, part: string) => lane(name).querySelector(`.ocnb-lane-${part}`)?.textContent;
  const stop = (name: string) => el.querySelector<HTMLButtonElement>(`[aria-label="Stop ${name}"]`)!;
  const whole = () => [...el.querySelector(".ocnb-work > .ocnb-foot")!.children].map((cell) => cell.textContent).filter(Boolean);
  return { model, el, view, leave, lane, said, stop, whole };
}

const sent = (model: TestModel, kind: string) => model.sent.filter((message) => message.kind === kind);

beforeEach(() => {
  document.body.replaceChildren();
});
afterEach(() => {
  for (const view of open) view.dispose();
  open = [];
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("losing nothing", () => {
  it("says what it has of each lane when it attaches, in one message", () => {
    const state = agents(["coder", "tester"]);
    state.lanes[1] = { ...state.lanes[1]!, text: "ab🐍", steps: [{ key: "a", title: "plan", text: "one", tokens: 1, seconds: null }] };
    const model = new TestModel(state);
    start(model);
    expect(model.sent).toEqual([{ kind: "sync", lanes: [[0, 0, 0], [1, 4, 3]] }]);
  });

  it("takes the messages that came before it", async () => {
    const model = new TestModel(agents(["coder", "tester"]));
    const el = place();
    start(model, [lanes([1, delta(0, "one ")]), lanes([1, delta(4, "two")])]).render(el);
    await drawn();
    expect(model.sent[0]).toMatchObject({ lanes: [[0, 0, 0], [1, 7, 0]] });
    expect(el.textContent).toContain("one tw");
  });

  it("asks again for what is missing of a lane, of that alone, and not with every message", () => {
    const model = new TestModel(agents(["coder", "tester"]));
    const now = vi.spyOn(performance, "now").mockReturnValue(0);
    start(model);
    now.mockReturnValue(1000);
    for (let at = 10; at < 20; at += 1) model.receive(lanes([0, delta(at - 10, "y")], [1, state("streaming"), delta(at, "x")]));
    expect(model.sent.slice(1)).toEqual([{ kind: "sync", lanes: [[1, 0, 0]] }]);
    now.mockReturnValue(2000);
    model.receive(lanes([1, delta(20, "x")]));
    expect(sent(model, "sync").length).toBe(3);
  });

  it("takes a full state at any time, and passes over what makes no sense", async () => {
    const { model, el } = page(["coder", "tester"]);
    for (const nonsense of [null, 7, {}, { kind: "lanes" }, { kind: "lanes", lanes: [null, { n: 9, news: 3 }, { n: 0, news: [null] }] }]) {
      model.receive(nonsense);
    }
    model.receive(lanes([1, delta(50, "lost")]));
    const whole = agents(["coder", "tester"]);
    whole.lanes[1] = { ...whole.lanes[1]!, text: "the whole answer.\n\n", status: "streaming", words: "" };
    model.sync(whole);
    await drawn();
    expect([...el.querySelectorAll(".ocnb-answer")].map((each) => each.textContent)).toEqual(["", "the whole answer."]);
  });

  it("puts each text into its own lane, however they are mixed", async () => {
    const { model, lane } = page(["a", "b", "c"]);
    const text = (name: string) => Array.from({ length: 50 }, (_, n) => `${name}${n} `);
    for (let n = 0; n < 50; n += 1) {
      model.receive(lanes(...["a", "b", "c"].map((name, lane): [number, unknown] => [lane, delta(text(name).slice(0, n).join("").length, text(name)[n]!)])));
    }
    model.receive(lanes(...[0, 1, 2].map((n): [number, unknown] => [n, state("done")])));
    await drawn();
    for (const name of ["a", "b", "c"]) expect(lane(name).querySelector(".ocnb-answer")!.textContent!.trim()).toBe(text(name).join("").trim());
  });
});

describe("a lane", () => {
  it("says what it does, what it took, and offers to stop it", async () => {
    const { model, said, stop } = page(["coder", "tester", "reviewer"]);
    model.receive(lanes(
      [0, state("done", "done", { tokens: 388, seconds: 4.1, cost: 0.002 })],
      [1, state("streaming", "runs pytest", { tokens: 201, seconds: 3.04 })],
      [2, state("waiting", "waits, 2 per task", { line: "in line, next" })],
    ));
    await drawn();
    await new Promise((resume) => setTimeout(resume, 300));
    expect(["words", "figures"].map((part) => said("coder", part))).toEqual(["done", "388 tokens · 4.1 s · $0.002"]);
    expect(said("tester", "words")).toBe("runs pytest");
    expect(said("tester", "figures")).toMatch(/^201 tokens · 3\.\d s$/);
    expect(["words", "figures"].map((part) => said("reviewer", part))).toEqual(["waits, 2 per task", "in line, next"]);
    expect(["coder", "tester", "reviewer"].map((name) => stop(name).hidden)).toEqual([true, false, false]);
  });

  it("has a line of its own for a sentence that is too long for its head", async () => {
    const { model, said, lane } = page(["coder"]);
    const words = "no model at ws://127.0.0.1:18789: connection refused";
    model.receive(lanes([0, state("failed", words)]));
    await drawn();
    expect([said("coder", "words"), said("coder", "why"), lane("coder").dataset.tone]).toEqual(["failed", words, "bad"]);
  });

  it("shows what led to the answer until the first word, and then in one line", async () => {
    const { model, lane } = page(["coder"]);
    const steps = () => lane("coder").querySelector<HTMLDetailsElement>(".ocnb-steps")!;
    model.receive(lanes([0, { kind: "step", key: "a", title: "plan", offset: 0, text: "think", tokens: 3, total: 3 }]));
    await drawn();
    expect([steps().hidden, steps().open]).toEqual([false, true]);
    model.receive(lanes([0, delta(0, "one ")]));
    await drawn();
    expect(steps().open).toBe(false);
    steps().open = true;
    model.receive(lanes([0, delta(4, "two ")]));
    await drawn();
    expect(steps().open).toBe(true);
  });

  it("shows hostile names and words as words", async () => {
    const evil = "<img src=x onerror=1>";
    const { model, el } = page([evil, "<b>x</b>"]);
    model.receive(lanes([0, state("failed", `${evil} and more than fits in a head`)], [1, delta(0, `${evil}<script>x</script>\n\n[a](javascript:b)`)]));
    await drawn();
    expect(el.querySelector("img, script, a[href]")).toBeNull();
    expect(el.querySelector(".ocnb-lane-head b")!.textContent).toBe(evil);
  });

  it("follows its end, until the reader goes up, and again when they have come down", async () => {
    const { model, lane } = page(["coder"]);
    const text = lane("coder").querySelector<HTMLElement>(".ocnb-lane-text")!;
    let height = 500;
    Object.defineProperties(text, { scrollHeight: { get: () => height }, clientHeight: { value: 200 } });
    const grow = async (to: number) => {
      height = to;
      model.receive(lanes([0, delta(to - 1000, "x".repeat(100))]));
      await drawn();
    };
    const scroll = (to: number) => {
      text.scrollTop = to;
      text.dispatchEvent(new Event("scroll"));
    };
    await grow(1000);
    expect(text.scrollTop).toBe(1000);
    scroll(600); // not at the end any more
    await grow(1100);
    expect(text.scrollTop).toBe(600);
    scroll(899);
    await grow(1200);
    expect(text.scrollTop).toBe(1200);
    height = 1400; // it grew before the page told of the scrolling by which the end was followed
    text.dispatchEvent(new Event("scroll"));
    await grow(1300);
    expect(text.scrollTop).toBe(1300);
  });
});

describe("stopping", () => {
  it("stops one lane, once, in all views, and says so at once", async () => {
    const { model, view, stop, said } = page(["coder", "tester"]);
    view.render(place());
    stop("tester").click();
    stop("tester").click();
    await drawn();
    expect(sent(model, "stop")).toEqual([{ kind: "stop", lane: 1 }]);
    expect([said("tester", "words"), said("coder", "words")]).toEqual(["stopping", "waiting"]);
    const buttons = [...document.querySelectorAll('[aria-label="Stop tester"]')];
    expect(buttons.map((button) => button.getAttribute("aria-disabled"))).toEqual(["true", "true"]);
    model.receive(lanes([1, state("stopped", "stopped by you")]));
    await drawn();
    expect(said("tester", "words")).toBe("stopped by you");
  });

  it("stops all", async () => {
    const { model, el, whole, said } = page(["coder", "tester"]);
    const all = [...el.querySelectorAll("button")].find((button) => button.textContent === "Stop all")!;
    all.click();
    all.click();
    await drawn();
    expect(sent(model, "stop")).toEqual([{ kind: "stop" }]);
    expect([whole()[0], said("coder", "words"), said("tester", "words")]).toEqual(["stopping", "stopping", "stopping"]);
  });

  it("leaves the focus in the lane when its button goes", async () => {
    const { model, stop, lane } = page(["coder"]);
    stop("coder").focus();
    model.receive(lanes([0, state("done")]));
    await drawn();
    expect(document.activeElement).toBe(lane("coder").querySelector(".ocnb-lane-text"));
  });
});

describe("the whole", () => {
  it("says how far all are", async () => {
    const { model, whole, el } = page(["a", "b", "c", "d", "e"]);
    model.receive({
      ...lanes([0, state("done", "", { tokens: 1000, cost: 0.001 })], [1, state("done")], [2, state("failed")], [3, state("streaming", "", { tokens: 204, cost: 0.002 })]),
      pool: { status: "streaming", words: "", tokens: 0, seconds: 6.2, cost: null },
    });
    await drawn();
    await new Promise((resume) => setTimeout(resume, 260));
    expect(whole().slice(0, 2)).toEqual(["streaming", "2 of 5 done, 1 failed"]);
    expect(whole()[2]).toMatch(/^1,204 tokens · 6\.\d s · \$0\.003$/);
    expect(el.querySelector<HTMLElement>(".ocnb-progress i")!.style.transform).toBe("scaleX(0.6)");
  });

  it("ends in Python's words, with no button left, and stays where the widget goes", async () => {
    const { model, whole, el, leave } = page(["a", "b"]);
    const output = el.parentElement!;
    expect(el.querySelector("[data-live]")).not.toBeNull();
    await drawn();
    model.receive({
      ...lanes([0, state("done")], [1, state("failed", "no model")]),
      pool: { status: "failed", words: "1 of 2 done", seconds: 3 },
    });
    await drawn();
    expect(whole()).toEqual(["1 of 2 done", "3.0 s", "Stop all"]);
    expect(el.querySelector("[data-live]")).toBeNull();
    expect([...el.querySelectorAll<HTMLElement>("button")].every((button) => button.hidden)).toBe(true);
    el.remove();
    leave();
    expect(output.querySelector(".ocnb-work")).not.toBeNull();
  });

  it("tells the kernel that drawing is late, and when it is not any more", async () => {
    const now = vi.spyOn(performance, "now").mockReturnValue(1000);
    const { model } = page(["a", "b"]);
    const update = async (ms: number, late: number) => {
      now.mockReturnValue(1000 + ms);
      model.receive({ ...lanes([0, delta(ms, "x")]), at: ms / 1000 });
      now.mockReturnValue(1000 + ms + late);
      await drawn();
    };
    for (const [ms, late] of [[0, 10], [1000, 600], [2500, 10]] as const) await update(ms, late);
    expect(sent(model, "lag").map(({ ms }) => ms)).toEqual([500, 0]);
  });

  it("is not late where there is always something to draw, but never the same for long", () => {
    const clock = { now: 0 };
    vi.spyOn(performance, "now").mockImplementation(() => clock.now);
    const asked: unknown[] = [];
    vi.spyOn(painter, "ask").mockImplementation((who) => void asked.push(who));
    vi.spyOn(painter, "waits").mockReturnValue(false);
    const { model } = page(["a", "b"]);
    asked.length = 0;
    for (let ms = 0; ms < 5000; ms += 100) {
      clock.now = 1000 + ms;
      model.receive({ ...lanes([(ms / 100) % 2, delta(0, "")]), at: ms / 1000 });
      // the one that came 100 ms ago is drawn, the one that has just come is not
      asked.filter((who): who is LaneView => who instanceof LaneView && who.lane.name === "ba"[(ms / 100) % 2]).at(-1)?.painted();
    }
    expect(sent(model, "lag")).toEqual([]);
  });
});
