import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { NONE } from "../src/lib/timeline/entries";
import timeline from "../src/timeline";
import { frame, TestModel } from "./helpers";
import { news } from "./snapshots";

const PARENTS = [NONE, 0, 1, 1, 2, 3, 0];
const HEADS = { main: 4, try: 5 };
const SAID = [["you", "<b>why?</b>"], ["agent", "because"]];

let close: (() => void)[] = [];

const TOLD = { ...news(PARENTS), heads: HEADS as Record<string, number>, labels: { 0: "start" } as Record<string, string> };

/** A page with a model, and as many places as the kernel has shown pictures. */
function start(places = 1, told: typeof TOLD | null = TOLD) {
  const model = new TestModel({ place: "here" });
  for (let n = 0; n < places; n += 1) document.body.append(picture());
  const widget = timeline();
  close.push(widget.initialize({ model }));
  if (told) model.receive(told);
  return model;
}

function picture(): HTMLElement {
  const place = document.createElement("div");
  place.className = "ocnb-timeline-place";
  place.dataset.ocnbTimeline = "here";
  place.innerHTML = "<p>the picture</p>";
  return place;
}

const list = () => document.querySelector<HTMLElement>("[role=listbox]")!;
const active = () => document.getElementById(list().getAttribute("aria-activedescendant")!)!;
const column = () => Number(active().dataset.column);
const status = () => document.querySelector(".ocnb-status")!.textContent;
const press = (key: string, on: Element = list(), init = {}) => {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...init });
  on.dispatchEvent(event);
  return event;
};
const sent = (model: TestModel, kind: string) => model.sent.filter((message) => message.kind === kind);
const settle = () => new Promise((resume) => setTimeout(resume));

function reply(model: TestModel, kind: string, answer: object): Promise<unknown> {
  const asked = sent(model, kind).at(-1)!;
  model.receive({ kind: "answer", ask: asked.ask, ...answer });
  return settle();
}

beforeEach(() => document.body.replaceChildren());
afterEach(() => {
  close.forEach((each) => each());
  close = [];
  vi.useRealTimers();
});

describe("its place", () => {
  it("keeps the picture until there is something to put there, and gives it back at the end", () => {
    const model = start(1, null);
    expect(model.sent).toEqual([{ kind: "sync", have: 0, epoch: -1 }]);
    expect(document.body.textContent).toBe("the picture");
    model.receive(news(PARENTS));
    expect(document.body.textContent).not.toContain("the picture");
    close.pop()!();
    expect(document.body.textContent).toBe("the picture");
  });

  it("stays in the picture's place where no snapshot is there yet", () => {
    const model = start(1, { ...news([]), heads: {}, labels: {} });
    expect(document.body.textContent).toBe("the picture");
    model.receive(news([NONE]));
    expect(list()).toBeTruthy();
  });

  it("is found when it comes later, and in each cell that shows it", async () => {
    start(2);
    document.body.append(document.createElement("p"), picture());
    await settle();
    expect(document.querySelectorAll("[role=listbox]").length).toBe(3);
  });

  it("is taken up again where the picture was drawn anew, with what was chosen", async () => {
    start();
    press("Home");
    press("ArrowRight");
    const old = document.querySelector(".ocnb-timeline-place")!;
    const root = document.querySelector(".ocnb-timeline");
    old.replaceWith(picture());
    await settle();
    expect(document.querySelector(".ocnb-timeline")).toBe(root);
    expect(column()).toBe(1);
  });

  it("is no other model's", async () => {
    start(0);
    const other = picture();
    other.dataset.ocnbTimeline = "elsewhere";
    document.body.append(other);
    await settle();
    expect(document.body.textContent).toBe("the picture");
  });

  it("asks again for what is missing, but not with every message", () => {
    const model = start();
    const now = vi.spyOn(performance, "now").mockReturnValue(1e9);
    for (let at = 20; at < 25; at += 1) model.receive({ ...news(PARENTS), at });
    expect(sent(model, "sync").length).toBe(2);
    expect(sent(model, "sync")[1]).toMatchObject({ have: 7, epoch: 0 });
    now.mockRestore();
  });
});

describe("what is read", () => {
  it("is a list with one tab stop, of which each option says its place among all", () => {
    start();
    expect(document.querySelectorAll('[tabindex="0"]').length).toBe(1);
    expect(list().getAttribute("aria-orientation")).toBe("horizontal");
    const keys = document.getElementById(list().getAttribute("aria-describedby")!)!;
    expect(keys.textContent).toContain("Enter or r: restore");
    expect(active().getAttribute("role")).toBe("option");
    expect(active().getAttribute("aria-selected")).toBe("true");
    expect([active().getAttribute("aria-posinset"), active().getAttribute("aria-setsize")]).toEqual(["5", "7"]);
    expect(active().getAttribute("aria-label")).toMatch(/^now, main, turn, 4 messages more, 495 B, level 2, \$0\.0024, /);
  });

  it("says what a snapshot adds once one rests on it, as text", async () => {
    vi.useFakeTimers();
    const model = start();
    press("ArrowLeft");
    press("ArrowLeft");
    expect(sent(model, "show")).toEqual([]);
    await vi.advanceTimersByTimeAsync(200);
    expect(sent(model, "show")).toEqual([{ kind: "show", id: "0000000000000001", ask: 1 }]);
    model.receive({ kind: "answer", ask: 1, said: SAID });
    await vi.advanceTimersByTimeAsync(0);
    expect(document.querySelector(".ocnb-said")!.textContent).toBe("you<b>why?</b>agentbecause");
    model.receive({ ...news(PARENTS, 7), heads: HEADS });
    await vi.advanceTimersByTimeAsync(500);
    expect(sent(model, "show").length).toBe(1);
    press("ArrowRight");
    expect(document.querySelector(".ocnb-said")!.textContent).toBe("");
  });

  it("writes names as text, and what stands where", () => {
    start(1, { ...news(PARENTS), heads: HEADS, labels: { 0: "<img src=x onerror=pwned()>" } });
    expect(document.querySelector("img")).toBeNull();
    const words = [...document.querySelectorAll(".ocnb-snapshot span")].map((span) => span.textContent);
    expect(words).toContain("now");
    expect(words).toContain("try");
    expect(words.some((word) => word!.startsWith("<img"))).toBe(true);
  });
});

describe("keys", () => {
  it("walk, and are kept from JupyterLab", () => {
    start();
    expect(column()).toBe(4);
    const event = press("ArrowDown");
    expect(column()).toBe(3);
    expect(event.defaultPrevented).toBe(true);
    for (const on of document.querySelectorAll("[tabindex]")) {
      expect(on.hasAttribute("data-lm-suppress-shortcuts")).toBe(true); // on the focused element itself
    }
    expect(press("x").defaultPrevented).toBe(false);
    expect(press("r", list(), { metaKey: true }).defaultPrevented).toBe(false);
  });

  it.each(["r", "R", "Enter"])("restore with %s", async (key) => {
    const model = start();
    press("Home");
    press(key);
    expect(sent(model, "restore")).toMatchObject([{ id: "0000000000000000" }]);
    await reply(model, "restore", { words: "session main stands there now", tone: "ok" });
    expect(status()).toBe("session main stands there now");
    expect(document.querySelector(".ocnb-status")!.getAttribute("aria-live")).toBe("polite");
  });

  it("branch with a name that is asked for", async () => {
    const model = start();
    press("b");
    const input = document.querySelector("input")!;
    expect(input.value).toBe("main-2");
    expect(document.activeElement).toBe(input);
    input.value = "try it";
    press("r", input);
    press("Enter", input);
    expect(sent(model, "restore")).toEqual([]);
    expect(sent(model, "branch")).toMatchObject([{ id: "0000000000000004", name: "try it" }]);
    expect(document.querySelector("input")).toBeNull();
    expect(document.activeElement).toBe(list());
    await reply(model, "branch", { words: "session 'try it' has begun already", tone: "bad" });
    expect(document.querySelector<HTMLElement>(".ocnb-line")!.dataset.tone).toBe("bad");
  });

  it("name, or not with Escape", () => {
    const model = start();
    press("Home");
    press("n");
    expect(document.querySelector("input")!.value).toBe("start");
    press("Escape", document.querySelector("input")!);
    expect(document.querySelector("input")).toBeNull();
    press("n");
    press("Enter", document.querySelector("input")!);
    expect(sent(model, "name")).toMatchObject([{ id: "0000000000000000", name: "start" }]);
  });

  it("compare two: the first is marked, with the second they are, Escape ends it", async () => {
    const model = start();
    press("c");
    expect(status()).toContain("00000000 is marked");
    expect(active().dataset.marked).toBe("");
    press("c");
    expect(status()).toBe("no snapshot is marked");
    press("c");
    press("ArrowDown");
    press("c");
    expect(sent(model, "compare")).toMatchObject([{ a: "0000000000000004", b: "0000000000000003" }]);
    const side = { name: "a", figures: "2 messages · $0.0012", said: SAID };
    await reply(model, "compare", { words: "", common: 4, sides: [side, side], changed: ["level"] });
    const panel = document.querySelector<HTMLElement>(".ocnb-compared")!;
    expect(panel.hidden).toBe(false);
    expect(panel.textContent).toContain("4 messages in common, then; different too: level");
    expect(panel.textContent).toContain("<b>why?</b>");
    press("Escape");
    expect(panel.hidden).toBe(true);
  });
});

describe("living on", () => {
  it("follows the session until somebody chooses, and stays there then", () => {
    const model = start();
    model.receive({ ...news([...PARENTS, 4], 7), heads: { main: 7 } });
    expect(column()).toBe(7);
    press("ArrowLeft");
    model.receive({ ...news([...PARENTS, 4, 7], 8), heads: { main: 8 } });
    expect(column()).toBe(4);
    expect(active().getAttribute("aria-setsize")).toBe("9");
  });

  it("says so when the kernel does not answer at once", async () => {
    vi.useFakeTimers();
    start();
    press("r");
    await vi.advanceTimersByTimeAsync(1500);
    expect(status()).toBe("asked; the kernel answers when it is free");
  });

  it("tells the kernel when somebody uses it, by the focus", async () => {
    const model = start();
    list().focus();
    expect(sent(model, "use")).toEqual([{ kind: "use", on: true }]);
    list().blur();
    await settle();
    expect(sent(model, "use")).toEqual([{ kind: "use", on: true }, { kind: "use", on: false }]);
  });

  it("draws a small part of ten thousand, and the active one with it", async () => {
    start(1, { ...news([NONE, ...Array.from({ length: 9999 }, (_, n) => n)]), heads: { main: 9999 }, labels: {} });
    list().scrollLeft = 0;
    list().dispatchEvent(new Event("scroll"));
    await frame();
    expect(document.querySelectorAll("[role=option]").length).toBeLessThan(100);
    expect(active().getAttribute("aria-posinset")).toBe("10000");
  });

  it("draws lanes closer together where there are many", () => {
    start(1, { ...news([NONE, ...Array.from({ length: 20 }, () => 0)]), heads: { main: 0 }, labels: {} });
    const tops = [...document.querySelectorAll<HTMLElement>("[role=option]")].map((dot) => parseInt(dot.style.top));
    expect(tops.slice(0, 3)).toEqual([30, 30, 56]);
    expect(list().querySelector("div")!.style.height).toBe(`${30 + 26 * 20}px`);
  });

  it("shows a view of its own where a front end asks for one", async () => {
    const model = new TestModel({ place: "here" });
    const widget = timeline();
    close.push(widget.initialize({ model }));
    const el = document.body.appendChild(document.createElement("div"));
    const end = widget.render({ el });
    model.receive({ ...news(PARENTS), heads: HEADS });
    await frame();
    expect(el.querySelectorAll("[role=option]").length).toBe(7);
    end();
  });
});
