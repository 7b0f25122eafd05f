import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { State } from "../src/lib/pool/state";
import pool from "../src/pool";
import { TestModel } from "./helpers";

const STATE: State = {
  max_threads: 10, max_per_task: 3, at_work: 3, waiting: 0, largest: 1000, line: "", tone: "", answered: 0,
};
const REFUSED = "max_threads is 5000; a pool has from 1 to 1,000";

let close: (() => void)[] = [];

function picture(): HTMLElement {
  const place = document.createElement("div");
  place.className = "ocnb-pool-place";
  place.dataset.ocnbPool = "here";
  place.innerHTML = "<p>the picture</p>";
  return place;
}

/** A page with a model, and as many places as the kernel has shown pictures. */
function start(state: Partial<State> = {}, places = 1): TestModel {
  const model = new TestModel({ place: "here", state: { ...STATE, ...state } });
  for (let n = 0; n < places; n += 1) document.body.append(picture());
  close.push(pool().initialize({ model }));
  return model;
}

const group = (n = 0) => document.querySelectorAll<HTMLElement>("[role=group]")[n]!;
const field = (name = "threads", n = 0) => group(n).querySelector<HTMLInputElement>(`[aria-label="${name}"]`)!;
const press = (name: string, n = 0) => group(n).querySelector<HTMLElement>(`button[aria-label="${name}"]`)!;
const squares = () => [...group().querySelectorAll(".ocnb-meter i")].map((one) => +one.classList.contains("ocnb-on"));
const waiting = () => group().querySelector(".ocnb-waiting")!.textContent;
const line = () => group().querySelector<HTMLElement>(".ocnb-reply")!;
const spoken = () => document.getElementById("ocnb-announcer")?.textContent ?? "";
const sent = (model: TestModel, kind = "set") => model.sent.filter((message) => message.kind === kind);
const tell = (model: TestModel, state: Partial<State>) => model.sync({ state: { ...STATE, ...state } });

/** Of each counter, what is read: the words with the field's number in its place. */
function words(n = 0): string[] {
  const text = (node: Node): string => (node instanceof HTMLInputElement ? node.value : (node.textContent ?? ""));
  return [...group(n).querySelectorAll(".ocnb-words")].map((each) => [...each.childNodes].map(text).join(""));
}

function key(name: string, on: Element = document.activeElement!, init = {}): KeyboardEvent {
  const event = new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true, ...init });
  on.dispatchEvent(event);
  return event;
}

function type(text: string, on = field()): void {
  on.focus();
  on.value = text;
  on.dispatchEvent(new Event("input", { bubbles: true }));
}

/** Answer all that was asked, with what is then so. */
function answer(model: TestModel, state: Partial<State>): void {
  vi.advanceTimersByTime(200);
  tell(model, { answered: sent(model).at(-1)!.ask as number, ...state });
}

beforeEach(() => {
  document.body.replaceChildren();
  vi.useFakeTimers();
});
afterEach(() => {
  close.forEach((each) => each());
  close = [];
  vi.useRealTimers();
});

describe("its place", () => {
  it("is taken at once, and given back at the end", () => {
    start();
    expect(document.body.textContent).not.toContain("the picture");
    press("one thread more").click();
    close.pop()!();
    expect(document.body.textContent).toBe("the picture");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("may be in several cells, which show the same, and a view of its own", () => {
    const model = new TestModel({ place: "here", state: STATE });
    const widget = pool();
    document.body.append(picture(), picture());
    close.push(widget.initialize({ model }));
    const el = document.body.appendChild(document.createElement("div"));
    const end = widget.render({ el });
    press("one thread more", 1).click();
    for (const n of [0, 1, 2]) expect(words(n)).toEqual(["3 of 11 at work", "at most 3 per task"]);
    end();
    expect(el.children.length).toBe(0);
  });
});

describe("what is shown", () => {
  it("is a square for each thread, those at work filled, and who waits", () => {
    const model = start();
    expect(words()).toEqual(["3 of 10 at work", "at most 3 per task"]);
    expect(squares()).toEqual([1, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
    expect(waiting()).toBe("");
    const all = [...group().querySelectorAll(".ocnb-meter i")];
    tell(model, { at_work: 4, waiting: 1 });
    expect(squares()).toEqual([1, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
    expect([...group().querySelectorAll(".ocnb-meter i")]).toEqual(all);
    expect(waiting()).toBe("1 waits");
    tell(model, { at_work: 12, waiting: 1200, max_threads: 4 }); // made smaller while it works
    expect([squares(), words()[0], waiting()]).toEqual([[1, 1, 1, 1], "12 of 4 at work", "1,200 wait"]);
  });

  it("is one bar where squares would be too small, and squares again", () => {
    const model = start({ max_threads: 25, at_work: 10 });
    const bar = () => group().querySelector<HTMLElement>(".ocnb-bar > .ocnb-on:only-child");
    expect(bar()!.style.width).toBe("40%");
    tell(model, { max_threads: 1000, at_work: 2000 });
    expect(bar()!.style.width).toBe("100%");
    tell(model, { max_threads: 24, at_work: 0 });
    expect([bar(), squares().length]).toEqual([null, 24]);
  });

  it("keeps room for as many digits as the size has, so that use moves nothing", () => {
    const model = start();
    const room = () => [group().querySelector<HTMLElement>(".ocnb-used")!.style.minWidth, field().style.width];
    expect(room()).toEqual(["2ch", "2ch"]);
    tell(model, { at_work: 10 });
    expect(room()).toEqual(["2ch", "2ch"]);
    tell(model, { max_threads: 1000 });
    expect(room()).toEqual(["4ch", "4ch"]);
  });

  it("is read as two numbers with bounds, and buttons with names", () => {
    const model = start({ max_threads: 1 });
    expect(group().getAttribute("aria-label")).toBe("thread pool");
    expect(group().querySelector(".ocnb-meter")!.getAttribute("aria-hidden")).toBe("true");
    for (const [name, now] of [["threads", "1"], ["per task", "3"]] as const) {
      expect(field(name).getAttribute("role")).toBe("spinbutton");
      const bounds = ["valuemin", "valuenow", "valuemax"].map((each) => field(name).getAttribute(`aria-${each}`));
      expect(bounds).toEqual(["1", now, "1000"]);
      expect(document.getElementById(field(name).getAttribute("aria-describedby")!)).toBe(line());
    }
    const off = (name: string) => press(name).getAttribute("aria-disabled") === "true";
    const names = ["one thread fewer", "one thread more", "one fewer per task", "one more per task"];
    expect(names.map(off)).toEqual([true, false, false, false]);
    tell(model, { max_threads: 1000, max_per_task: 1 });
    expect(names.map(off)).toEqual([false, true, true, false]);
  });

  it("is text and never markup", () => {
    start({ line: "<img src=x onerror=pwned()>" });
    expect(document.querySelector("img")).toBeNull();
    expect(line().textContent).toBe("<img src=x onerror=pwned()>");
  });
});

describe("a change", () => {
  it("is shown at once, asked for when it is calm, and stands when the kernel has answered", () => {
    const model = start();
    for (let n = 0; n < 5; n += 1) press("one thread more").click();
    press("one fewer per task").click();
    expect(words()).toEqual(["3 of 15 at work", "at most 2 per task"]);
    expect(sent(model)).toEqual([]);
    vi.advanceTimersByTime(200);
    expect(sent(model)).toMatchObject([{ max_threads: 15, max_per_task: 2 }]);
    tell(model, { at_work: 5 });
    expect(words()).toEqual(["5 of 15 at work", "at most 2 per task"]);
    answer(model, { max_threads: 15, max_per_task: 2 });
    tell(model, { max_threads: 6, answered: sent(model)[0]!.ask as number });
    expect(words()).toEqual(["3 of 6 at work", "at most 3 per task"]);
  });

  it("is asked for once, and says nothing of what was not changed", () => {
    const model = start();
    press("one thread more").click();
    vi.advanceTimersByTime(200);
    press("one more per task").click();
    vi.advanceTimersByTime(200);
    expect(sent(model).map(({ max_threads, max_per_task }) => [max_threads, max_per_task])).toEqual([[11, undefined], [undefined, 4]]);
    tell(model, { max_threads: 11, answered: sent(model)[0]!.ask as number });
    expect(words()).toEqual(["3 of 11 at work", "at most 4 per task"]);
  });

  it("is taken back where the pool refuses it, with its sentence", () => {
    const model = start();
    type("5000");
    key("Enter");
    expect(words()[0]).toBe("3 of 5000 at work");
    answer(model, { line: REFUSED, tone: "bad" });
    expect([words()[0], line().textContent, line().dataset.tone, spoken()]).toEqual(["3 of 10 at work", REFUSED, "bad", REFUSED]);
    press("one thread more").click();
    answer(model, { max_threads: 11 });
    expect([words()[0], line().textContent]).toEqual(["3 of 11 at work", ""]);
  });

  it("stays within the bounds", () => {
    const model = start({ max_threads: 1, max_per_task: 1000 });
    press("one thread fewer").click();
    press("one more per task").click();
    vi.advanceTimersByTime(200);
    expect(sent(model)).toEqual([]);
  });

  it("says so when the kernel does not answer at once, and no more when it has", () => {
    const model = start();
    press("one thread more").click();
    vi.advanceTimersByTime(1500);
    expect(line().textContent).toBe("asked; the kernel answers when it is free");
    expect(spoken()).toBe("asked; the kernel answers when it is free");
    answer(model, { max_threads: 11 });
    expect(line().textContent).toBe("");
  });
});

describe("keys", () => {
  it("step by one and by ten, within the bounds", () => {
    const model = start();
    field().focus();
    const steps = { ArrowUp: 11, PageUp: 21, ArrowDown: 20, PageDown: 10 };
    for (const [name, value] of Object.entries(steps)) {
      expect(key(name).defaultPrevented).toBe(true);
      expect(field().value).toBe(String(value));
      expect([field().selectionStart, field().selectionEnd]).toEqual([0, 2]); // so typing begins another
    }
    key("PageDown");
    expect(field().value).toBe("1");
    vi.advanceTimersByTime(200);
    expect(sent(model)).toMatchObject([{ max_threads: 1 }]);
  });

  it("type a number, which is meant at Enter or when the field is left", () => {
    const model = start();
    type("64");
    tell(model, { at_work: 7 }); // news do not take away what is being typed
    expect([field().value, words()[0]]).toEqual(["64", "7 of 64 at work"]);
    vi.advanceTimersByTime(200);
    expect(sent(model)).toEqual([]);
    key("Enter");
    type("2", field("per task"));
    field("per task").dispatchEvent(new Event("change"));
    vi.advanceTimersByTime(200);
    expect(sent(model)).toMatchObject([{ max_threads: 64, max_per_task: 2 }]);
    type("70");
    key("ArrowUp");
    expect(field().value).toBe("71");
  });

  it("give up what was typed at Escape, or what is no number", () => {
    const model = start();
    for (const text of ["64", "", "x", "1.5", "-3", "10"]) {
      type(text);
      expect(key(text === "64" ? "Escape" : "Enter").defaultPrevented).toBe(true);
      expect(field().value).toBe("10");
    }
    vi.advanceTimersByTime(200);
    expect(sent(model)).toEqual([]);
    expect(key("Escape").defaultPrevented).toBe(false);
  });

  it("are kept from the front end, and others left to it", () => {
    start();
    field().focus();
    const outside = vi.fn();
    document.body.addEventListener("keydown", outside);
    key("ArrowUp");
    expect(outside).not.toHaveBeenCalled();
    expect(key("ArrowLeft").defaultPrevented).toBe(false);
    expect(key("Enter", field(), { shiftKey: true }).defaultPrevented).toBe(false);
    for (const on of group().querySelectorAll("input, button")) {
      expect(on.hasAttribute("data-lm-suppress-shortcuts")).toBe(true);
    }
  });
});

describe("what is said", () => {
  it("is what was set elsewhere, once, and never the use", () => {
    const model = start();
    tell(model, { at_work: 9, waiting: 4 });
    expect(spoken()).toBe("");
    tell(model, { max_threads: 1 });
    expect(spoken()).toBe("1 thread");
    tell(model, { max_threads: 4, max_per_task: 2 });
    expect(spoken()).toBe("4 threads, at most 2 per task");
  });

  it("is what a button did, but not what the focus has read", () => {
    const model = start();
    press("one thread more").focus();
    press("one thread more").click();
    answer(model, { max_threads: 11 });
    expect(spoken()).toBe("11 threads");
    field().focus();
    key("ArrowUp");
    answer(model, { max_threads: 12 });
    expect(spoken()).toBe("11 threads");
  });
});

describe("the focus", () => {
  it("tells the kernel when somebody uses it, and comes back where the picture was drawn anew", async () => {
    const model = start();
    press("one thread more").focus();
    await vi.advanceTimersByTimeAsync(10);
    expect(sent(model, "use")).toEqual([{ kind: "use", on: true }]);
    document.querySelector(".ocnb-pool-place")!.replaceWith(picture());
    await vi.advanceTimersByTimeAsync(10);
    expect(document.activeElement).toBe(press("one thread more"));
    (document.activeElement as HTMLElement).blur();
    await vi.advanceTimersByTimeAsync(10);
    expect(sent(model, "use").at(-1)).toEqual({ kind: "use", on: false });
  });
});
