/** Who draws in the next frame: all lanes of all cells of the page share the time there is for Markdown. */

const BUDGET = 8; // ms of a frame for all of them
const TURN = 2; // ms for one, before the next has its turn
const LONG = 40; // ms for a drawing with all that the browser makes of it; after a longer one fewer are drawn at a time
const FEWEST = 4;

export interface Painted {
  /** Write what is new, until `deadline` (ms, as performance.now) at most. True when there is more. */
  paint(deadline: number): boolean;
  /** All writing of this frame is done: what must be measured can be measured now, at the price of one layout. */
  painted(): void;
}

export class Painter {
  private readonly queue = new Set<Painted>();
  /** ms between two drawings: what a browser does after each costs far more than the writing. */
  pause = 40;
  private frame = 0;
  private rests = false;
  private most = 16; // are drawn at a time

  /** Have it paint in one of the next frames, or in a later one if there is too much. */
  ask(who: Painted): void {
    this.queue.add(who);
    this.schedule();
  }

  waits(who: Painted): boolean {
    return this.queue.has(who);
  }

  private schedule(): void {
    if (!this.rests) this.frame ||= requestAnimationFrame(() => this.draw());
  }

  private draw(): void {
    const start = performance.now();
    this.frame = 0;
    this.rests = true;
    const done = new Set<Painted>();
    setTimeout(() => this.rest(performance.now() - start, done.size)); // when layout and painting are over, too
    // Who has more goes to the end of the queue, and the walk comes to it again.
    for (const who of this.queue) {
      if (performance.now() >= start + BUDGET || (done.size >= this.most && !done.has(who))) break;
      this.queue.delete(who);
      done.add(who);
      if (who.paint(Math.min(start + BUDGET, performance.now() + TURN))) this.queue.add(who);
    }
    for (const who of done) who.painted();
  }

  private rest(took: number, drawn: number): void {
    this.most = took > LONG ? Math.max(FEWEST, drawn >> 1) : this.most + 1;
    setTimeout(() => {
      this.rests = false;
      if (this.queue.size) this.schedule();
    }, this.pause);
  }
}

/** The page's one. */
export const painter = new Painter();
