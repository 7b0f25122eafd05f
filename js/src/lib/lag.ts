/** How far this page is behind its kernel: it says so when that becomes much, and again when it has caught up. */

const BEHIND = 250; // ms; less is not worth a message
const MOST = 1000; // ms; the kernel waits for nobody longer
const EVERY = 500; // ms between two reports
const AGAIN = 5000; // ms after which the same is said again; the kernel believes it for 10 s

/**
 * Time from the sending of an update to its drawing, above the least that was seen: so the two clocks need not agree,
 * and all that may be slow on the way counts, from the server to a tab that is hidden.
 */
export class Lag {
  private least = Infinity;
  private oldest: number | null = null;
  private told = 0;
  private toldAt = -Infinity;

  constructor(
    private readonly report: (ms: number) => void,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** An update has come that the kernel sent at `at`, in seconds of its own clock. */
  came(at: unknown): void {
    if (typeof at !== "number" || !Number.isFinite(at)) return;
    this.least = Math.min(this.least, this.now() - 1000 * at);
    this.oldest ??= at;
    if (this.behind >= BEHIND) this.tell(); // a hidden tab draws nothing, and this is all it hears
  }

  /** All that has come is on the page, or what was sent before `rest`. */
  drawn(rest: number | null = null): void {
    if (this.oldest === null) return;
    this.tell();
    this.oldest = rest;
  }

  /** There is no view to draw. */
  skip(): void {
    this.oldest = null;
  }

  private get behind(): number {
    return this.oldest === null ? 0 : this.now() - 1000 * this.oldest - this.least;
  }

  /** In powers of two, so that small changes are no news. */
  private tell(): void {
    const behind = this.behind;
    const level = behind < BEHIND ? 0 : Math.min(MOST, BEHIND * 2 ** Math.floor(Math.log2(behind / BEHIND)));
    const rest = level === this.told ? AGAIN : EVERY;
    if ((!level && !this.told) || this.now() - this.toldAt < rest) return;
    this.told = level;
    this.toldAt = this.now();
    this.report(level);
  }
}
