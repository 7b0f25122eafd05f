import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { attach } from "../src/lanes";
import { agents, drawn, lanes, state } from "./lanes.helpers";
import { TestModel } from "./helpers";

const ECHO = { id: "a1", title: "exec wants to run", command: "echo hi", details: "", more: 0, left: null, chosen: null };
const asks = (approvals: unknown[]) => state("streaming", "waiting for your approval", { approvals, line: "" });

let clock = 0;
let close: (() => void)[] = [];

beforeEach(() => {
  document.body.replaceChildren();
  clock = 10_000;
  vi.spyOn(performance, "now").mockImplementation(() => clock);
});
afterEach(() => {
  close.forEach((each) => each());
  close = [];
  vi.restoreAllMocks();
});

/** A board of these agents, of which the second asks. */
async function page(names: string[]) {
  const model = new TestModel(agents(names));
  const el = document.body.appendChild(document.createElement("div"));
  const view = attach(model);
  close.push(view.dispose);
  view.render(el);
  model.receive(lanes([1, asks([ECHO])]));
  await drawn();
  clock += 500;
  const lane = (n: number) => el.querySelectorAll<HTMLElement>(".ocnb-lane")[n]!;
  const buttons = (n: number) => [...lane(n).querySelectorAll<HTMLButtonElement>(".ocnb-ask button")];
  const told = () => model.sent.filter(({ kind }) => kind === "allow" || kind === "deny");
  return { model, lane, buttons, told };
}

it("asks in the lane whose agent it is, and says which one is decided", async () => {
  const { lane, buttons, told } = await page(["coder", "tester"]);
  expect(buttons(0)).toEqual([]);
  expect(lane(1).querySelector(".ocnb-ask pre")!.textContent).toBe("echo hi");
  expect(lane(1).querySelector(".ocnb-lane-words")!.textContent).toBe("waiting for your approval");
  expect(lane(1).dataset.tone).toBe("warn");
  expect(document.getElementById("ocnb-announcer")!.textContent).toBe("tester: your approval is asked: exec wants to run: echo hi");
  buttons(1)[1]!.click();
  buttons(1)[0]!.click();
  expect(told()).toEqual([{ kind: "deny", lane: 1, id: "a1" }]);
});

it("asks also where the lane is folded, of many", async () => {
  const names = Array.from({ length: 12 }, (_, n) => `agent-${n}`);
  const { lane, buttons, told, model } = await page(names);
  lane(1).querySelector<HTMLButtonElement>("[aria-expanded=true]")?.click();
  await drawn();
  expect(buttons(1)[0]!.closest("[hidden]")).toBeNull();
  buttons(1)[0]!.focus();
  buttons(1)[0]!.click();
  expect(told()).toEqual([{ kind: "allow", lane: 1, id: "a1" }]);
  model.receive(lanes([1, asks([])]));
  await drawn();
  expect(document.activeElement).toBe(lane(1).querySelector("[aria-expanded]"));
});

it("takes nothing of a lane that is being stopped", async () => {
  const { lane, buttons, told } = await page(["coder", "tester"]);
  lane(1).querySelector<HTMLButtonElement>('[aria-label="Stop tester"]')!.click();
  await drawn();
  expect(buttons(1).map((each) => each.getAttribute("aria-disabled"))).toEqual(["true", "true"]);
  buttons(1)[0]!.click();
  expect(told()).toEqual([]);
});
