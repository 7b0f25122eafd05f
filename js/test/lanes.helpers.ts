/** States and messages of agents at work, as the kernel sends them. */

import { painter } from "../src/lib/lanes/painter";
import { frame } from "./helpers";

type Fields = Record<string, unknown>;

const LANE = { status: "waiting", words: "", line: "", level: "", tokens: 0, seconds: 0, cost: null, steps: [], text: "" };

/** The synced state of these agents, of which none has said a word. */
export const agents = (names: string[]) => ({
  into: "",
  pool: { status: "streaming", words: "", tokens: 0, seconds: 0, cost: null, mode: "parallel" },
  lanes: names.map((name): Fields => ({ ...LANE, name })),
});

export const delta = (offset: number, text: string, tokens = 1) => ({ kind: "delta", offset, text, tokens });
export const state = (status: string, words = "", rest: Fields = {}) => ({ kind: "state", status, words, ...rest });

/** One message with news of some lanes. */
export const lanes = (...told: [number, ...unknown[]][]) => ({ kind: "lanes", lanes: told.map(([n, ...news]) => ({ n, news })) });

/** Wait for as many frames as twelve lanes and their board take, where the machine is so slow that one has a frame for itself. */
export async function drawn(who = painter): Promise<void> {
  who.pause = 0;
  for (let n = 0; n < 16; n += 1) {
    await frame();
    await new Promise((resume) => setTimeout(resume));
  }
}
