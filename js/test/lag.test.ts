import { beforeEach, describe, expect, it } from "vitest";
import { Lag } from "../src/lib/lag";

let now = 0;
let told: [number, number][] = [];
let lag: Lag;

beforeEach(() => {
  now = 70_000; // no clock of the kernel's
  told = [];
  lag = new Lag((ms) => told.push([now - 70_000, ms]), () => now);
});

/** An update that is sent at `at`, comes `travel` later, and is drawn after `drawing`, in ms. */
function update(at: number, travel: number, drawing: number): void {
  now = 70_000 + at + travel;
  lag.came(at / 1000);
  now += drawing;
  lag.drawn();
}

describe("a page that keeps up", () => {
  it("says nothing, however far the clocks are apart and however long the way is", () => {
    for (let at = 0; at < 60_000; at += 50) update(at, 90 + (at % 150), 16);
    expect(told).toEqual([]);
  });

  it("says nothing of messages without a time", () => {
    for (const at of [undefined, null, "1", NaN, {}]) lag.came(at);
    now += 10_000;
    lag.drawn();
    expect(told).toEqual([]);
  });

  it("says nothing while there is no view", () => {
    for (let at = 0; at < 60_000; at += 50) {
      now = 70_000 + at;
      lag.came(at / 1000);
      lag.skip();
    }
    expect(told).toEqual([]);
  });
});

describe("a page that is behind", () => {
  it("says so when drawing is slow, and once when it is not any more", () => {
    update(0, 20, 16);
    for (let at = 1000; at < 4000; at += 500) update(at, 20, 300);
    for (let at = 4000; at < 8000; at += 50) update(at, 20, 16);
    expect(told).toEqual([[1320, 250], [4036, 0]]);
  });

  it("says so when messages wait on their way", () => {
    for (let at = 0; at < 2000; at += 50) update(at, 20 + at, 1);
    expect(told.map(([, ms]) => ms)).toEqual([250, 500, 1000]);
  });

  it("says so in a hidden tab, which draws nothing, at most twice a second and then seldom", () => {
    for (let at = 0; at < 60_000; at += 50) {
      now = 70_000 + at;
      lag.came(at / 1000);
    }
    expect(told.map(([, ms]) => ms).slice(0, 3)).toEqual([250, 500, 1000]);
    const times = told.map(([at]) => at);
    expect(Math.min(...times.slice(1).map((at, i) => at - times[i]!))).toBeGreaterThanOrEqual(500);
    expect(told.length).toBeLessThan(15);
    lag.drawn();
    update(60_000, 0, 16);
    expect(told.at(-1)).toEqual([60_016, 0]);
  });
});
