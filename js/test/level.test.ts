import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import level from "../src/level";
import type { State } from "../src/lib/level/state";
import { TestModel } from "./helpers";

const STATE: State = {
  chosen: 0,
  choices: [
    { label: "Auto", figure: "would take 3", detail: "by the prompt at hand it would take 3", off: false },
    { label: "1 fast", figure: "$0.0004 · 1 s", detail: "about $0.0004; about 1 s", off: false },
    { label: "2 standard", figure: "$0.0011 · 3 s", detail: "about $0.0011; about 3 s", off: false },
    { label: "3 deep", figure: "$0.005 · 11 s", detail: "about $0.005; about 11 s", off: false },
    { label: "4 ultra", figure: "limited to 3", detail: "no level above 3 is allowed here", off: true },
  ],
  line: "asks for a proof, 4 conditions",
  tone: "",
  said: "",
  field: "the last one; another can be typed here",
  answered: 0,
};

let close: (() => void)[] = [];

function picture(): HTMLElement {
  const place = document.createElement("div");
  place.className = "ocnb-level-place";
  place.dataset.ocnbLevel = "here";
  place.innerHTML = "<p>the table</p>";
  return place;
}

/** A page with a model, and as many places as the kernel has shown tables. */
function start(places = 1, state: Partial<State> = {}): TestModel {
  const model = new TestModel({ place: "here", state: { ...STATE, ...state } });
  for (let n = 0; n < places; n += 1) document.body.append(picture());
  close.push(level().initialize({ model }));
  return model;
}

const group = () => document.querySelector<HTMLElement>("[role=radiogroup]")!;
const radios = () => [...group().querySelectorAll<HTMLElement>("[role=radio]")];
const checked = () => radios().map((radio) => radio.getAttribute("aria-checked")).indexOf("true");
const focused = () => radios().indexOf(document.activeElement as HTMLElement);
const stops = () => radios().map((radio) => radio.tabIndex);
const line = () => document.querySelector(".ocnb-why")!.textContent;
const input = () => document.querySelector("input")!;
const spoken = () => document.getElementById("ocnb-announcer")?.textContent ?? "";
const sent = (model: TestModel, kind: string) => model.sent.filter((message) => message.kind === kind);
const tell = (model: TestModel, state: Partial<State>) => model.sync({ state: { ...STATE, ...state } });

function press(key: string, on: Element = document.activeElement!, init = {}): KeyboardEvent {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...init });
  on.dispatchEvent(event);
  return event;
}

function type(text: string, on = input()): void {
  on.value = text;
  on.dispatchEvent(new Event("input", { bubbles: true }));
}

beforeEach(() => {
  document.body.replaceChildren();
  document.dir = "";
  vi.useFakeTimers();
});
afterEach(() => {
  close.forEach((each) => each());
  close = [];
  vi.useRealTimers();
});

describe("its place", () => {
  it("is taken at once, and given back at the end", () => {
    const model = start();
    expect(model.sent).toEqual([{ kind: "hello" }]);
    expect(document.body.textContent).not.toContain("the table");
    radios()[2]!.click();
    type("why?");
    close.pop()!();
    expect(document.body.textContent).toBe("the table");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("may be in several cells, which show the same", () => {
    start(2);
    const all = document.querySelectorAll<HTMLElement>("[role=radiogroup]");
    expect(all.length).toBe(2);
    all[0]!.querySelectorAll<HTMLElement>("[role=radio]")[2]!.click();
    const shown = [...document.querySelectorAll("[aria-checked=true]")].map((radio) => radio.getAttribute("aria-label"));
    expect(shown).toEqual(["2 standard", "2 standard"]);
    type("why?", document.querySelector("input")!);
    expect([...document.querySelectorAll("input")].map((field) => field.value)).toEqual(["why?", "why?"]);
  });

  it("may be a view of its own, where a front end asks for one", () => {
    const widget = level();
    close.push(widget.initialize({ model: new TestModel({ place: "here", state: STATE }) }));
    const el = document.body.appendChild(document.createElement("div"));
    const end = widget.render({ el });
    expect(el.querySelectorAll("[role=radio]").length).toBe(5);
    end();
    expect(el.children.length).toBe(0);
  });
});

describe("what is read", () => {
  it("is a group of radios with one tab stop, each described with its ranges", () => {
    start();
    expect(group().getAttribute("aria-label")).toBe("reasoning level");
    expect(document.getElementById(group().getAttribute("aria-describedby")!)!.textContent).toBe(STATE.line);
    expect(radios().map((radio) => radio.getAttribute("aria-label"))).toEqual(STATE.choices.map(({ label }) => label));
    expect(stops()).toEqual([0, -1, -1, -1, -1]);
    expect(checked()).toBe(0);
    const described = radios().map((radio) => document.getElementById(radio.getAttribute("aria-describedby")!)!);
    expect(described.map((each) => each.textContent)).toEqual(STATE.choices.map(({ detail }) => detail));
    expect(radios().map((radio) => radio.title)).toEqual(STATE.choices.map(({ detail }) => detail));
    expect(radios().map((radio) => radio.getAttribute("aria-disabled"))).toEqual([..."0000"].map(() => "false").concat("true"));
  });

  it("is text and never markup", () => {
    start(1, { line: "<img src=x onerror=pwned()>", choices: [{ label: "<b>x", figure: "<i>", detail: "<u>", off: false }] });
    expect(document.querySelector("img, i, u")).toBeNull();
    expect(line()).toBe("<img src=x onerror=pwned()>");
  });

  it("is written only where it changed", () => {
    const model = start();
    const figure = radios()[3]!.querySelector("small")!.firstChild;
    tell(model, { chosen: 2 });
    expect(radios()[3]!.querySelector("small")!.firstChild).toBe(figure);
  });
});

describe("keys", () => {
  it("walk and choose, round the ends, and say why a level is off", () => {
    const model = start();
    radios()[0]!.focus();
    press("ArrowRight");
    expect([focused(), checked()]).toEqual([1, 1]);
    press("ArrowDown");
    press("ArrowUp");
    press("ArrowLeft");
    press("ArrowLeft");
    expect([focused(), checked()]).toEqual([4, 0]); // ultra is off
    expect(stops()).toEqual([-1, -1, -1, -1, 0]);
    for (let n = 0; n < 4; n += 1) {
      press("ArrowRight");
      vi.advanceTimersByTime(100);
    }
    expect([focused(), checked()]).toEqual([3, 3]);
    expect(sent(model, "choose")).toEqual([]); // what is passed is not chosen
    vi.advanceTimersByTime(100);
    expect(sent(model, "choose")).toMatchObject([{ level: 3 }]);
    press("Home");
    vi.advanceTimersByTime(0);
    press("End");
    vi.advanceTimersByTime(0);
    expect([focused(), checked()]).toEqual([4, 0]);
    expect(sent(model, "choose").map(({ level }) => level)).toEqual([3, 0]);
  });

  it("go the other way from right to left", () => {
    start();
    group().style.direction = "rtl";
    radios()[0]!.focus();
    press("ArrowLeft");
    expect(focused()).toBe(1);
    press("ArrowRight");
    press("ArrowDown");
    expect(focused()).toBe(1);
  });

  it.each([" ", "Enter"])("choose with %j what has the focus", (key) => {
    const model = start();
    radios()[2]!.focus();
    expect(press(key).defaultPrevented).toBe(true);
    vi.advanceTimersByTime(0);
    expect(sent(model, "choose")).toMatchObject([{ level: 2 }]);
  });

  it("are kept from the front end, and others left to it", () => {
    start();
    radios()[0]!.focus();
    const outside = vi.fn();
    document.body.addEventListener("keydown", outside);
    press("ArrowRight");
    expect(outside).not.toHaveBeenCalled();
    expect(press("x").defaultPrevented).toBe(false);
    expect(press("Enter", document.activeElement!, { shiftKey: true }).defaultPrevented).toBe(false);
    for (const on of [...radios(), input()]) expect(on.hasAttribute("data-lm-suppress-shortcuts")).toBe(true);
  });
});

describe("a choice", () => {
  it("is shown at once, and stands when the kernel has answered", () => {
    const model = start();
    radios()[3]!.click();
    expect(checked()).toBe(3);
    vi.advanceTimersByTime(0);
    const { ask } = sent(model, "choose")[0]!;
    tell(model, { line: "news of something else" });
    expect(checked()).toBe(3);
    tell(model, { chosen: 3, answered: ask as number });
    tell(model, { chosen: 1, answered: ask as number });
    expect(checked()).toBe(1);
  });

  it("is taken back where the kernel refuses it, with a sentence", () => {
    const model = start();
    radios()[3]!.click();
    vi.advanceTimersByTime(0);
    const answered = sent(model, "choose")[0]!.ask as number;
    tell(model, { answered, line: "no such level", tone: "bad", said: "no such level" });
    expect([checked(), line()]).toEqual([0, "no such level"]);
    expect(document.querySelector<HTMLElement>(".ocnb-why")!.dataset.tone).toBe("bad");
    expect(spoken()).toBe("no such level");
  });

  it("cannot be one that is off", () => {
    const model = start();
    radios()[4]!.click();
    vi.advanceTimersByTime(1000);
    expect([checked(), sent(model, "choose")]).toEqual([0, []]);
  });

  it("says so when the kernel does not answer at once, and no more when it has", () => {
    const model = start();
    radios()[3]!.click();
    vi.advanceTimersByTime(1500);
    expect(line()).toBe("asked; the kernel answers when it is free");
    tell(model, { chosen: 3, answered: sent(model, "choose")[0]!.ask as number });
    expect(line()).toBe(STATE.line);
  });
});

describe("news", () => {
  it("say a level that was set elsewhere once, and one that was chosen here not again", () => {
    const model = start();
    tell(model, { chosen: 2 });
    expect([checked(), spoken()]).toEqual([2, "level 2 standard"]);
    document.getElementById("ocnb-announcer")!.textContent = "";
    tell(model, { chosen: 2, line: "more" });
    expect(spoken()).toBe("");
    radios()[3]!.focus();
    radios()[3]!.click();
    vi.advanceTimersByTime(0);
    const answered = sent(model, "choose")[0]!.ask as number;
    tell(model, { chosen: 3, answered, line: "takes effect on the next step", said: "takes effect on the next step" });
    expect(spoken()).toBe("takes effect on the next step");
    const other = new TestModel({ place: "there", state: STATE });
    close.push(level().initialize({ model: other }));
    tell(other, { chosen: 3 });
    expect(spoken()).toBe("takes effect on the next step"); // the focus has read it, in whichever picker
  });

  it("move the tab stop, but not under somebody's hands", () => {
    const model = start();
    tell(model, { chosen: 2 });
    expect(stops()).toEqual([-1, -1, 0, -1, -1]);
    radios()[2]!.focus();
    tell(model, { chosen: 0 });
    expect([focused(), stops()]).toEqual([2, [-1, -1, 0, -1, -1]]);
  });
});

describe("the field", () => {
  it("asks about what was typed when it is calm, and Escape goes back to the last prompt", () => {
    const model = start();
    expect(input().placeholder).toBe(STATE.field);
    for (const text of ["p", "pr", "prove it"]) {
      type(text);
      vi.advanceTimersByTime(100);
    }
    expect(sent(model, "prompt")).toEqual([]);
    vi.advanceTimersByTime(1000);
    expect(sent(model, "prompt")).toEqual([{ kind: "prompt", text: "prove it" }]);
    tell(model, { choices: [{ ...STATE.choices[0]!, figure: "would take 4" }, ...STATE.choices.slice(1)] });
    expect(spoken()).toBe("auto would take 4");
    press("Escape", input());
    vi.advanceTimersByTime(1000);
    expect([input().value, sent(model, "prompt").at(-1)]).toEqual(["", { kind: "prompt", text: "" }]);
    expect(press("Escape", input()).defaultPrevented).toBe(false);
  });

  it("shows what the kernel was given, unless somebody has typed", () => {
    const model = start();
    model.receive({ kind: "typed", text: "given" });
    expect(input().value).toBe("given");
    vi.advanceTimersByTime(1000);
    type("mine");
    model.receive({ kind: "typed", text: "given" });
    expect(input().value).toBe("mine");
    vi.advanceTimersByTime(1000);
    expect(sent(model, "prompt")).toEqual([{ kind: "prompt", text: "mine" }]);
  });

  it("is no radio: arrows, Home and Space are its own", () => {
    const model = start();
    for (const key of ["ArrowLeft", "Home", " ", "Enter"]) expect(press(key, input()).defaultPrevented).toBe(false);
    vi.advanceTimersByTime(1000);
    expect([checked(), sent(model, "choose")]).toEqual([0, []]);
  });
});

describe("the focus", () => {
  it("tells the kernel when somebody uses it, and comes back where the table was drawn anew", async () => {
    const model = start();
    radios()[1]!.focus();
    radios()[2]!.focus();
    await vi.advanceTimersByTimeAsync(10);
    expect(sent(model, "use")).toEqual([{ kind: "use", on: true }]);
    document.querySelector(".ocnb-level-place")!.replaceWith(picture());
    await vi.advanceTimersByTimeAsync(10);
    expect(focused()).toBe(2);
    (document.activeElement as HTMLElement).blur();
    await vi.advanceTimersByTimeAsync(10);
    expect(sent(model, "use").at(-1)).toEqual({ kind: "use", on: false });
  });
});
