import { describe, expect, it } from "vitest";
import { Answer } from "../src/lib/answer";

const delta = (offset: number, text: string, tokens = 1) => ({ kind: "delta", offset, text, tokens });

describe("text", () => {
  it("joins deltas by their offsets", () => {
    const answer = new Answer();
    expect(answer.apply(delta(0, "ab"))).toBe(true);
    expect(answer.apply(delta(2, "cd", 2))).toBe(true);
    expect(answer.text).toBe("abcd");
    expect(answer.tokens).toBe(2);
  });

  it("takes what comes twice once, and the rest of what overlaps", () => {
    const answer = new Answer();
    answer.apply(delta(0, "abcd"));
    answer.apply(delta(0, "abcd"));
    answer.apply(delta(1, "bc"));
    answer.apply(delta(2, "cdef"));
    expect(answer.text).toBe("abcdef");
  });

  it("refuses a delta behind a gap and heals when the missing text comes", () => {
    const answer = new Answer();
    answer.apply(delta(0, "ab"));
    expect(answer.apply(delta(5, "f"))).toBe(false);
    expect(answer.text).toBe("ab");
    expect(answer.apply(delta(2, "cdef"))).toBe(true);
    expect(answer.text).toBe("abcdef");
  });

  it("counts the tokens of steps before there is text", () => {
    const answer = new Answer();
    answer.apply({ kind: "step", key: "plan", title: "plan", offset: 0, text: "first", tokens: 3, total: 3 });
    expect(answer.tokens).toBe(3);
    answer.apply({ ...delta(0, "ab", 5) });
    answer.apply({ kind: "step", key: "plan", title: "plan", offset: 5, text: "", tokens: 3, total: 4 });
    expect(answer.tokens).toBe(5);
  });

  it("counts offsets in UTF-16 units", () => {
    const answer = new Answer();
    answer.apply(delta(0, "🐍"));
    expect(answer.apply(delta(2, "é😀"))).toBe(true);
    expect(answer.apply(delta(5, "!"))).toBe(true);
    expect(answer.text).toBe("🐍é😀!");
  });

  it("survives messages of any shape", () => {
    const answer = new Answer();
    const odd = [null, 7, "x", [], {}, { kind: 3 }, { kind: "delta" }, { kind: "delta", offset: NaN, text: 5 }];
    for (const message of odd) expect(answer.apply(message)).toBe(true);
    expect(answer.text).toBe("");
  });
});

describe("synced state", () => {
  it("never takes text back that deltas brought", () => {
    const answer = new Answer();
    answer.apply(delta(0, "abcdef", 6));
    const old: Record<string, unknown> = { text: "abc", tokens: 3, status: "streaming", seconds: 1 };
    answer.absorb((name) => old[name]);
    expect([answer.text, answer.tokens]).toEqual(["abcdef", 6]);
  });

  it("brings text, steps and facts at once", () => {
    const answer = new Answer();
    const state: Record<string, unknown> = {
      text: "abc", tokens: 3, status: "streaming", words: "", level: "level 2 standard", seconds: 1.5,
      steps: [{ key: "a", title: "plan", text: "think", tokens: 9, seconds: 0.5 }],
    }; // prettier-ignore
    answer.absorb((name) => state[name]);
    expect(answer.text).toBe("abc");
    expect(answer.level).toBe("level 2 standard");
    expect([...answer.steps.values()]).toEqual(state.steps);
    expect(answer.stepsLength).toBe(5);
  });

  it("may be missing altogether", () => {
    const answer = new Answer();
    answer.absorb(() => undefined);
    expect([answer.text, answer.status, answer.tokens]).toEqual(["", "waiting", 0]);
  });
});

describe("steps", () => {
  it("grow by offset, may be rewritten, and say so when something is missing", () => {
    const answer = new Answer();
    const step = (offset: number, text: string, seconds: number | null = null) =>
      answer.apply({ kind: "step", key: "a", title: "plan", offset, text, tokens: 1, seconds });
    expect(step(0, "one two")).toBe(true);
    expect(step(4, "three", 0.5)).toBe(true);
    expect(answer.steps.get("a")).toMatchObject({ text: "one three", seconds: 0.5 });
    expect(step(50, "x")).toBe(false);
  });
});

describe("time", () => {
  it("is counted from what the kernel said, on this machine's clock, and stands still at the end", () => {
    let now = 5000;
    const answer = new Answer(() => now);
    answer.apply({ kind: "state", status: "streaming", seconds: 2 });
    now += 1500;
    expect(answer.elapsed).toBeCloseTo(3.5);
    answer.apply({ kind: "state", status: "done", seconds: 4 });
    now += 60_000;
    expect(answer.elapsed).toBe(4);
  });

  it("gives a rate once there is half a second to go by", () => {
    let now = 0;
    const answer = new Answer(() => now);
    answer.apply(delta(0, "a", 10));
    now += 100;
    answer.apply(delta(1, "b", 20));
    expect(answer.rate).toBe(0);
    now += 900;
    answer.apply(delta(2, "c", 60));
    expect(answer.rate).toBeCloseTo(50);
  });

  it("does not wake an answer that has ended", () => {
    const answer = new Answer();
    answer.apply({ kind: "state", status: "stopped", words: "stopped by you" });
    answer.apply({ kind: "state", status: "streaming", words: "" });
    expect([answer.status, answer.words]).toEqual(["stopped", "stopped by you"]);
  });
});
