import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { attach } from "../src/stream";
import { frame, TestModel } from "./helpers";

const INITIAL = { text: "", steps: [], status: "waiting", words: "", level: "", tokens: 0, seconds: 0, into: "", approvals: [] };
const ECHO = { id: "a1", title: "exec wants to run", command: "echo hi", details: "in /tmp", more: 0, left: 1800, chosen: null };
const state = (approvals: unknown[], rest = {}) => ({ kind: "state", approvals, ...rest });
const CALM = 500;

let now: ReturnType<typeof vi.spyOn>;
let clock = 0;
let streams: ReturnType<typeof attach>[] = [];

beforeEach(() => {
  document.body.replaceChildren();
  clock = 10_000;
  now = vi.spyOn(performance, "now").mockImplementation(() => clock);
});
afterEach(() => {
  for (const stream of streams) stream.dispose();
  streams = [];
  now.mockRestore();
});

/** A page with `views` of one model, of which `approvals` are asked, long enough ago for a press to count. */
async function shown(approvals: unknown[] = [ECHO], views = 1) {
  const model = new TestModel({ ...INITIAL });
  const stream = attach(model);
  streams.push(stream);
  const places = Array.from({ length: views }, () => document.body.appendChild(document.createElement("div")));
  for (const place of places) stream.render(place);
  model.receive(state(approvals, { words: approvals.length ? "waiting for your approval" : "" }));
  await frame();
  clock += CALM;
  const el = places[0]!;
  const told = () => model.sent.filter(({ kind }) => kind === "allow" || kind === "deny");
  return { model, el, places, told };
}

const rows = (el: HTMLElement) => [...el.querySelectorAll<HTMLElement>(".ocnb-ask")];
const buttons = (el: HTMLElement) => [...el.querySelectorAll<HTMLButtonElement>(".ocnb-ask button")];
const foot = (el: HTMLElement) => el.querySelector<HTMLElement>(".ocnb-foot")!;

describe("what is asked", () => {
  it("stands under the answer, whole, with two buttons of which none is the default", async () => {
    const { el } = await shown();
    const [row] = rows(el);
    expect(row!.querySelector("pre")!.textContent).toBe("echo hi");
    expect(row!.querySelector(".ocnb-ask-head")!.textContent).toBe("exec wants to runin /tmp30 min left");
    expect(buttons(el).map(({ textContent }) => textContent)).toEqual(["Allow once", "Deny"]);
    expect(buttons(el).every(({ type, autofocus }) => type === "button" && !autofocus)).toBe(true);
    expect(document.activeElement).toBe(document.body);
    const order = [...el.querySelector(".ocnb")!.children].map(({ classList }) => classList[0]);
    expect(order).toEqual(["ocnb-steps", "ocnb-answer", "ocnb-asks", "ocnb-foot"]);
  });

  it("is the state of the run, and takes no room where nothing is asked", async () => {
    const { el, model } = await shown();
    expect(foot(el).textContent).toContain("waiting for your approval");
    expect(foot(el).dataset.tone).toBe("warn");
    model.receive(state([], { words: "" }));
    await frame();
    expect(foot(el).dataset.tone).toBe("");
    expect(el.querySelector<HTMLElement>(".ocnb-asks")!.hidden).toBe(true);
    expect(rows(el)).toEqual([]);
  });

  it("is text, whatever it holds, and all of a long one", async () => {
    const command = `<img src=x onerror=1>\n${"x".repeat(100_000)}\n; rm -rf ~`;
    const { el } = await shown([{ ...ECHO, command, title: "<b>t</b>", details: "<i>d</i>" }]);
    expect(el.querySelector(".ocnb-ask img, .ocnb-ask-head i, .ocnb-ask-head b b")).toBeNull();
    const pre = el.querySelector<HTMLElement>(".ocnb-ask pre")!;
    expect(pre.textContent).toBe(command);
    expect([pre.tabIndex, pre.getAttribute("role")]).toEqual([0, "region"]);
    expect(el.querySelector(".ocnb-ask-extent")!.textContent).toBe("3 lines, 100,033 characters; read it to its end");
  });

  it("can only be denied where not all of it is shown", async () => {
    const { el } = await shown([{ ...ECHO, more: 1234 }]);
    expect(buttons(el).map(({ textContent }) => textContent)).toEqual(["Deny"]);
    expect(el.querySelector(".ocnb-ask-foot")!.textContent).toContain("1,234 characters are not shown");
  });

  it("says how long there is, without a message", async () => {
    const { el, model } = await shown([{ ...ECHO, left: 65 }]);
    const left = () => el.querySelector(".ocnb-ask-left")!.textContent;
    clock += 20_000;
    model.receive({ kind: "delta", offset: 0, text: "a", tokens: 1 });
    await frame();
    expect(left()).toBe("45 s left");
    clock += 60_000;
    model.receive({ kind: "delta", offset: 1, text: "b", tokens: 2 });
    await frame();
    expect(left()).toBe("time is up");
  });

  it("is named for a screen reader and announced once, for all views", async () => {
    const said: string[] = [];
    const observer = new MutationObserver((records) => {
      for (const { target, addedNodes } of records)
        if ((target as HTMLElement).hasAttribute("aria-live")) said.push(...[...addedNodes].map((node) => node.textContent!));
    });
    observer.observe(document.body, { childList: true, subtree: true });
    const { el, model } = await shown([ECHO], 2);
    model.receive(state([ECHO, { ...ECHO, id: "a2", command: "x".repeat(300) }]));
    model.receive(state([ECHO]));
    await frame();
    observer.disconnect();
    expect(said).toEqual([
      "your approval is asked: exec wants to run: echo hi",
      `your approval is asked: exec wants to run: ${"x".repeat(200)}, and 100 more characters`,
    ]);
    const [row] = rows(el);
    expect(row!.getAttribute("role")).toBe("group");
    expect(document.getElementById(row!.getAttribute("aria-labelledby")!)!.textContent).toBe("exec wants to run");
    for (const each of buttons(el))
      expect(document.getElementById(each.getAttribute("aria-describedby")!)!.textContent).toBe("echo hi");
  });
});

describe("deciding", () => {
  it.each([
    [0, "allow", "allowing"],
    [1, "deny", "denying"],
  ])("by button %i sends one message, from whichever view", async (which, kind, words) => {
    const { places, told } = await shown([ECHO], 2);
    buttons(places[0]!)[which]!.click();
    buttons(places[0]!)[which]!.click();
    buttons(places[1]!)[1 - which]!.click();
    expect(told()).toEqual([{ kind, id: "a1" }]);
    await frame();
    for (const place of places) {
      expect(buttons(place).map((each) => each.getAttribute("aria-disabled"))).toEqual(["true", "true"]);
      expect(place.querySelector(".ocnb-ask-foot")!.textContent).toContain(words);
    }
  });

  it("is open again where it did not get through", async () => {
    const { el, model, told } = await shown();
    buttons(el)[0]!.click();
    model.receive(state([{ ...ECHO, chosen: true }]));
    model.receive(state([ECHO]));
    await frame();
    buttons(el)[1]!.click();
    expect(told().map(({ kind }) => kind)).toEqual(["allow", "deny"]);
  });

  it("takes no press that was meant for what stood there before", async () => {
    const { el, model, told } = await shown();
    model.receive(state([ECHO, { ...ECHO, id: "a2" }]));
    await frame();
    clock += CALM - 1;
    buttons(el)[0]!.click();
    clock += 1;
    buttons(el)[0]!.click();
    model.receive(state([{ ...ECHO, id: "a2" }]));
    await frame();
    buttons(el)[0]!.click(); // the second half of a double click, where the next approval stands now
    expect(told()).toEqual([{ kind: "allow", id: "a1" }]);
  });

  it("takes no second half of a double click at all", async () => {
    const { el, told } = await shown();
    buttons(el)[0]!.dispatchEvent(new MouseEvent("click", { detail: 2, bubbles: true }));
    expect(told()).toEqual([]);
  });

  it("is over once the run is being stopped", async () => {
    const { el, model, told } = await shown();
    el.querySelector<HTMLButtonElement>(".ocnb-end button")!.click();
    await frame();
    buttons(el)[0]!.click();
    expect(told()).toEqual([]);
    model.receive(state([], { status: "stopped", words: "stopped by you" }));
    await frame();
    expect(rows(el)).toEqual([]);
  });

  it("leaves the focus where it was, or with the answer when the button goes; never on another button", async () => {
    const { el, model } = await shown();
    buttons(el)[0]!.focus();
    model.receive(state([{ ...ECHO, left: 3 }]));
    await frame();
    expect(document.activeElement).toBe(buttons(el)[0]);
    model.receive(state([{ ...ECHO, id: "a2" }]));
    await frame();
    expect(document.activeElement).toBe(el.querySelector(".ocnb"));
    model.receive(state([]));
    await frame();
    expect(document.activeElement).toBe(el.querySelector(".ocnb"));
  });
});

describe("what was decided", () => {
  it("is a step in a fixed-width font, as what tools wrote", async () => {
    const { el, model } = await shown([]);
    const step = (key: string) => ({ kind: "step", key, title: "allowed once", offset: 0, text: "echo hi", tokens: 0, seconds: null, total: 0 });
    for (const key of ["approval:a1", "tool:call_1", "thinking", "a tool:"]) model.receive(step(key));
    await frame();
    expect([...el.querySelectorAll<HTMLElement>(".ocnb-step")].map(({ dataset }) => dataset.code)).toEqual(["true", "true", undefined, undefined]);
  });
});
