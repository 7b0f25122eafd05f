import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { attach } from "../src/stream";
import { frame, TestModel } from "./helpers";

const INITIAL = { text: "", steps: [], status: "waiting", words: "", level: "level 2 standard", tokens: 0, seconds: 0, into: "" };
const delta = (offset: number, text: string, tokens = 1) => ({ kind: "delta", offset, text, tokens });
const state = (status: string, words = "", rest = {}) => ({ kind: "state", status, words, ...rest });

let shownViews: { render(el: HTMLElement): () => void; dispose(): void }[] = [];

function start(model: TestModel, early: unknown[] = []) {
  const stream = attach(model, early);
  shownViews.push(stream);
  return stream;
}

function place(): HTMLElement {
  return document.body.appendChild(document.createElement("div"));
}

beforeEach(() => {
  document.body.replaceChildren();
});
afterEach(() => {
  for (const stream of shownViews) stream.dispose();
  shownViews = [];
});

describe("losing nothing", () => {
  it("says what it has when it attaches", () => {
    const model = new TestModel({ ...INITIAL, text: "ab🐍", status: "streaming" });
    start(model);
    expect(model.sent).toEqual([{ kind: "sync", have: 4, steps: 0 }]);
  });

  it("takes the messages that came before it", async () => {
    const model = new TestModel({ ...INITIAL });
    const el = place();
    start(model, [delta(0, "one "), delta(4, "two")]).render(el);
    await frame();
    expect(model.sent[0]).toMatchObject({ have: 7 });
    expect(el.querySelector(".ocnb-answer")?.textContent).toContain("one tw");
  });

  it("asks again for what is missing, but not with every message", async () => {
    const model = new TestModel({ ...INITIAL });
    const now = vi.spyOn(performance, "now").mockReturnValue(0);
    start(model);
    now.mockReturnValue(1000);
    for (let at = 10; at < 20; at += 1) model.receive(delta(at, "x"));
    expect(model.sent.slice(1)).toEqual([{ kind: "sync", have: 0, steps: 0 }]);
    now.mockReturnValue(2000);
    model.receive(delta(20, "x"));
    expect(model.sent.length).toBe(3);
    now.mockRestore();
  });

  it("takes a full state at any time", async () => {
    const model = new TestModel({ ...INITIAL });
    const el = place();
    start(model).render(el);
    model.receive(delta(50, "lost"));
    model.sync({ text: "the whole answer.\n\n", status: "streaming", tokens: 4 });
    await frame();
    expect(el.querySelector(".ocnb-answer")?.textContent).toBe("the whole answer.");
  });
});

describe("reasoning", () => {
  it("is what it waits for, as long as there are steps and no text", async () => {
    const model = new TestModel({ ...INITIAL });
    const el = place();
    start(model).render(el);
    const said = () => el.querySelector(".ocnb-state")?.textContent;
    await frame();
    expect(said()).toBe("waiting");
    model.receive({ kind: "step", key: "plan", title: "plan", offset: 0, text: "first", tokens: 3, total: 3 });
    await frame();
    expect(said()).toBe("reasoning");
    expect(el.querySelector(".ocnb-foot")?.textContent).toContain("3 tokens");
    model.receive(delta(0, "text"));
    model.receive(state("streaming"));
    await frame();
    expect(said()).toBe("streaming");
  });
});

describe("pace", () => {
  it("tells the kernel that drawing is late, and when it is not any more, but not after the end", async () => {
    const model = new TestModel({ ...INITIAL });
    const now = vi.spyOn(performance, "now").mockReturnValue(1000);
    start(model).render(place());
    const update = async (ms: number, message: Record<string, unknown>) => {
      now.mockReturnValue(1000 + ms);
      model.receive({ ...message, at: ms / 1000 });
      now.mockReturnValue(1000 + ms + (message.late as number));
      await frame();
    };
    await update(0, { ...delta(0, "a"), late: 10 });
    await update(1000, { ...delta(1, "b"), late: 600 });
    await update(2500, { ...delta(2, "c"), late: 10 });
    await update(4000, { kind: "step", key: "s", title: "s", offset: 0, text: "t", late: 2000 });
    await update(7000, { ...state("done"), late: 5000 });
    now.mockRestore();
    expect(model.sent.slice(1)).toEqual([500, 0, 1000].map((ms) => ({ kind: "lag", ms })));
  });
});

describe("views", () => {
  it("are equal, however late the second is", async () => {
    const model = new TestModel({ ...INITIAL });
    const stream = start(model);
    const [first, second] = [place(), place()];
    stream.render(first);
    model.receive({ kind: "step", key: "a", title: "plan", offset: 0, text: "think", tokens: 3, seconds: 0.4 });
    model.receive(delta(0, "# Head\n\ntext with `code` and\n\n```python\nx = 1\n"));
    await frame();
    await frame();
    stream.render(second);
    model.receive(delta(52, "y = 2\n```\n\nend"));
    await frame();
    await frame();
    expect(second.innerHTML).toBe(first.innerHTML);
    expect(first.querySelector(".ocnb-code")).not.toBeNull();
  });

  it("stop together, at once, and only once", async () => {
    const model = new TestModel({ ...INITIAL, status: "streaming" });
    const stream = start(model);
    const [first, second] = [place(), place()];
    stream.render(first);
    stream.render(second);
    await frame();
    const buttons = [first, second].map((el) => el.querySelector<HTMLButtonElement>(".ocnb-end button")!);
    buttons[0]!.click();
    expect(buttons.map((button) => button.disabled)).toEqual([true, true]);
    expect(second.querySelector(".ocnb-state")?.textContent).toBe("stopping");
    buttons[1]!.click();
    expect(model.sent.filter((message) => message.kind === "stop").length).toBe(1);
  });

  it("keep a finished answer on the page when the widget goes, and nothing else", async () => {
    const model = new TestModel({ ...INITIAL, status: "streaming", text: "kept" });
    const stream = start(model);
    const [output, closed] = [place(), place()];
    const [el, other] = [output, closed].map((parent) => parent.appendChild(document.createElement("div")));
    const [leave, leaveEarly] = [stream.render(el!), stream.render(other!)];
    await frame();
    await frame();
    leaveEarly();
    other!.remove();
    model.receive(state("done"));
    await frame();
    el!.remove();
    leave();
    expect(output.querySelector(".ocnb-answer")?.textContent).toBe("kept");
    expect(closed.textContent).toBe("");
  });

  it("show the end also where the widget goes in the same frame", async () => {
    for (const frames of [0, 2]) {
      const model = new TestModel({ ...INITIAL, status: "streaming", text: "how it " });
      const stream = start(model);
      const output = place();
      const leave = stream.render(output.appendChild(document.createElement("div")));
      for (let n = 0; n < frames; n += 1) await frame();
      model.receive(delta(7, "ends", 2));
      model.receive(state("done"));
      leave();
      stream.dispose();
      await frame();
      expect(output.querySelector(".ocnb-answer")?.textContent).toBe("how it ends");
      expect(output.querySelector(".ocnb-state")?.textContent).toBe("done");
    }
  });
});

describe("the foot", () => {
  async function foot(...messages: unknown[]): Promise<HTMLElement> {
    const model = new TestModel({ ...INITIAL });
    const el = place();
    start(model).render(el);
    messages.forEach((message) => model.receive(message));
    await frame();
    await frame();
    return el.querySelector<HTMLElement>(".ocnb-foot")!;
  }

  const words = (el: HTMLElement) => [...el.children].map((cell) => cell.textContent).filter(Boolean);

  it("says what is going on", async () => {
    const el = await foot(state("streaming", "", { seconds: 6.2, tokens: 1412 }));
    expect(words(el)).toEqual(["streaming", "level 2 standard", "1,412 tokens", "6.2 s", "Stop"]);
    expect(el.dataset.tone).toBe("");
  });

  it("says what is safe while the link is away, in Python's words", async () => {
    const el = await foot(delta(0, "a", 412), state("reconnecting", "reconnecting, attempt 2 of 5"));
    expect(words(el)).toEqual(["reconnecting, attempt 2 of 5", "412 tokens are safe", "Stop"]);
    expect(el.dataset.tone).toBe("warn");
  });

  it.each([
    ["done", "", "done", "ok"],
    ["stopped", "stopped by you", "stopped by you", "stop"],
    ["failed", "no model: connection refused", "no model: connection refused", "bad"],
  ])("ends with %s", async (status, said, shown, tone) => {
    const el = await foot(delta(0, "a", 1), state(status, said, { seconds: 125 }));
    expect(words(el)[0]).toBe(shown);
    expect(words(el)).toContain("2 min 05 s");
    expect(words(el)).toContain("1 token");
    expect(el.dataset.tone).toBe(tone);
    expect(el.querySelector("button")?.hidden).toBe(true);
  });

  it("shows hostile words as words", async () => {
    const el = await foot(state("failed", "<img src=x onerror=1>"), { kind: "step", key: "<b>", title: "<i>", offset: 0, text: "<script>" });
    expect(el.parentElement!.querySelector("img,script,i")).toBeNull();
    expect(words(el)[0]).toBe("<img src=x onerror=1>");
  });
});

describe("for a screen reader", () => {
  /** What is announced while `play` goes on, by a stream with two views. */
  async function announced(play: (tell: (message: unknown) => Promise<void>) => Promise<void>): Promise<string[]> {
    const model = new TestModel({ ...INITIAL });
    const stream = start(model);
    stream.render(place());
    stream.render(place());
    const said: string[] = [];
    const observer = new MutationObserver((records) => {
      for (const { target, addedNodes } of records) {
        if ((target as HTMLElement).hasAttribute("aria-live")) said.push(...[...addedNodes].map((node) => node.textContent!));
      }
    });
    observer.observe(document.body, { childList: true, subtree: true });
    await play(async (message) => {
      model.receive(message);
      await frame();
    });
    await frame();
    observer.disconnect();
    expect(document.querySelectorAll("[aria-live]").length).toBe(said.length ? 1 : 0);
    return said;
  }

  const attempt = (n: number) => state("reconnecting", `reconnecting, attempt ${n} of 5`);
  const lull = () => vi.advanceTimersByTime(1000);

  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
  afterEach(() => void vi.useRealTimers());

  it("announces states, never tokens, and once for all views", async () => {
    const said = await announced(async (tell) => {
      for (const message of [state("streaming"), delta(0, "one "), delta(4, "two", 3), state("done")]) await tell(message);
    });
    expect(said).toEqual(["answer started", "answer done, 3 tokens"]);
  });

  it("announces an outage once, however many attempts it takes, and that the answer goes on", async () => {
    const said = await announced(async (tell) => {
      await tell(state("streaming"));
      await tell(attempt(1));
      await tell(attempt(2));
      lull();
      for (const n of [3, 4, 5]) {
        await tell(attempt(n));
        lull();
      }
      for (const message of [state("streaming"), delta(0, "on", 2), state("done")]) await tell(message);
    });
    expect(said).toEqual(["answer started", "reconnecting, attempt 2 of 5", "answer goes on", "answer done, 2 tokens"]);
  });

  it("says nothing of cuts that heal at once", async () => {
    const said = await announced(async (tell) => {
      for (let n = 0; n < 20; n += 1) {
        await tell(state("streaming"));
        await tell(attempt(1));
        vi.advanceTimersByTime(900);
      }
      await tell(state("streaming"));
      lull();
    });
    expect(said).toEqual(["answer started"]);
  });

  it("says that it reasons when a step has ended and no word has come", async () => {
    const step = (seconds: number | null) => ({ kind: "step", key: "plan", title: "plan", offset: 0, text: "a plan", tokens: 2, seconds });
    const said = await announced(async (tell) => {
      await tell(step(null));
      await tell(step(0.4));
      await tell({ ...step(1.2), key: "draft", title: "draft" });
      await tell(delta(0, "text", 5));
      await tell(state("streaming"));
      await tell(state("done"));
    });
    expect(said).toEqual(["reasoning", "answer started", "answer done, 5 tokens"]);
  });

  it("says that an answer started also when it was cut before its first word", async () => {
    const said = await announced(async (tell) => {
      await tell(attempt(1));
      lull();
      await tell(state("waiting"));
      await tell(state("streaming"));
    });
    expect(said).toEqual(["reconnecting, attempt 1 of 5", "answer started"]);
  });

  it("says nothing of a widget that is gone", async () => {
    const said = await announced(async (tell) => {
      await tell(attempt(1));
      for (const stream of shownViews) stream.dispose();
      lull();
    });
    expect(said).toEqual([]);
  });

  it("says of the answer what it is and whether it grows", async () => {
    const model = new TestModel({ ...INITIAL, status: "streaming", into: "plan" });
    const el = place();
    start(model).render(el);
    await frame();
    const region = el.querySelector(".ocnb-answer")!;
    expect(region.getAttribute("role")).toBe("region");
    expect(region.getAttribute("aria-label")).toBe("answer, goes to plan");
    expect(region.getAttribute("aria-busy")).toBe("true");
    model.receive(state("done"));
    await frame();
    expect(region.getAttribute("aria-busy")).toBe("false");
  });
});
