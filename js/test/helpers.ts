/** A model as the loader hands it over, with the sent messages kept. */

import type { Model } from "../src/lib/model";

type Listener = (message: unknown) => void;

export class TestModel implements Model {
  readonly sent: Record<string, unknown>[] = [];
  private readonly listeners = new Map<string, Set<Listener>>();

  constructor(readonly state: Record<string, unknown> = {}) {}

  get(name: string): unknown {
    return this.state[name];
  }

  on(event: string, listener: Listener): void {
    if (!this.listeners.has(event)) this.listeners.set(event, new Set());
    this.listeners.get(event)!.add(listener);
  }

  off(event: string, listener: Listener): void {
    this.listeners.get(event)?.delete(listener);
  }

  send(content: unknown): void {
    this.sent.push(content as Record<string, unknown>);
  }

  /** A custom message from the kernel. */
  receive(message: unknown): void {
    for (const listener of this.listeners.get("msg:custom") ?? []) listener(message);
  }

  /** A synced state from the kernel. */
  sync(state: Record<string, unknown>): void {
    Object.assign(this.state, state);
    for (const listener of this.listeners.get("change") ?? []) listener(this);
  }
}

export const frame = (): Promise<void> => new Promise((resume) => requestAnimationFrame(() => resume()));

/** The elements that stand for `text`, written in pieces of `size`. */
export async function shown(text: string, size = Infinity): Promise<HTMLElement> {
  const { Markdown } = await import("../src/lib/markdown");
  const root = document.createElement("div");
  const markdown = new Markdown(root);
  for (let at = 0; at < text.length; at += size) markdown.write(text.slice(at, at + size));
  markdown.end();
  return root;
}
