/** What is known of one run: its text, steps and state, put together from messages that may come twice or not at all. */

export interface Step {
  key: string;
  title: string;
  text: string;
  tokens: number;
  seconds: number | null;
}

/** What waits for a person to allow it. */
export interface Asked {
  id: string;
  /** What kind it is. */
  title: string;
  /** What exactly is to be run, with nothing in it that is not seen. */
  command: string;
  details: string;
  /** Characters of the command that are not shown, so that it cannot be read. */
  more: number;
  /** Seconds to decide when `at` was, or null without a limit. */
  left: number | null;
  at: number;
  /** What was decided and is on its way; null where nobody has decided. */
  chosen: boolean | null;
}

const FINAL = new Set(["done", "stopped", "failed"]);
const FACTS = ["approvals", "status", "words", "level", "tokens", "seconds"] as const;

type Fields = Record<string, unknown>;

const string = (value: unknown, otherwise: string): string => (typeof value === "string" ? value : otherwise);
const number = (value: unknown, otherwise: number): number =>
  typeof value === "number" && Number.isFinite(value) ? value : otherwise;

/** Offsets and lengths are UTF-16 code units, as in any JavaScript string. */
export class Answer {
  text = "";
  steps = new Map<string, Step>();
  status = "waiting";
  words = "";
  level = "";
  tokens = 0;
  /** Neither allowed nor denied yet, the oldest first. */
  approvals: Asked[] = [];
  private seconds = 0;
  private heardAt: number;
  private mark: { tokens: number; seconds: number } | null = null;

  /** `now` gives milliseconds of a monotonic clock: this machine's and the kernel's wall clocks may differ. */
  constructor(private readonly now: () => number = () => performance.now()) {
    this.heardAt = now();
  }

  get final(): boolean {
    return FINAL.has(this.status);
  }

  /** Whether it goes on only when a person has decided. */
  get asks(): boolean {
    const atWork = this.status === "waiting" || this.status === "streaming";
    return atWork && this.approvals.some(({ chosen }) => chosen === null);
  }

  /** Seconds left to decide; null where there is no limit. */
  left({ left, at }: Asked): number | null {
    return left === null ? null : Math.max(0, left - (this.now() - at) / 1000);
  }

  /** Note that this page has decided. False where it cannot, or somebody has. */
  choose(id: string, allow: boolean): boolean {
    const asked = this.approvals.find((each) => each.id === id);
    if (this.final || !asked || asked.chosen !== null) return false;
    asked.chosen = allow;
    return true;
  }

  /** Length of all the steps' text. */
  get stepsLength(): number {
    let sum = 0;
    for (const step of this.steps.values()) sum += step.text.length;
    return sum;
  }

  /** Seconds since the run was sent; stands still once it ended. */
  get elapsed(): number {
    return this.final ? this.seconds : this.seconds + (this.now() - this.heardAt) / 1000;
  }

  /** Tokens per second since the first was seen here, or 0 where it is too early to tell. */
  get rate(): number {
    if (!this.mark) return 0;
    const seconds = this.elapsed - this.mark.seconds;
    return seconds < 0.5 ? 0 : (this.tokens - this.mark.tokens) / seconds;
  }

  /** Take one message. False when text before it is missing, and the message was therefore dropped. */
  apply(message: unknown): boolean {
    if (typeof message !== "object" || message === null) return true;
    const fields = message as Fields;
    switch (fields.kind) {
      case "delta":
        return this.grow(number(fields.offset, 0), string(fields.text, ""), number(fields.tokens, 0));
      case "step":
        return this.growStep(fields);
      case "state":
        this.learn(fields);
        return true;
      default:
        return true;
    }
  }

  /** Take the model's synced state: whole text and steps, as of one moment. */
  absorb(get: (name: string) => unknown): void {
    const steps = get("steps");
    for (const step of Array.isArray(steps) ? steps : []) this.growStep({ ...(step as Fields), offset: 0 });
    this.learn(Object.fromEntries(FACTS.map((name) => [name, get(name)])));
    this.grow(0, string(get("text"), ""), 0);
  }

  private grow(offset: number, text: string, tokens: number): boolean {
    const have = this.text.length;
    if (offset > have) return false;
    if (offset + text.length > have) this.text += text.slice(have - offset);
    this.count(tokens);
    return true;
  }

  /** So many tokens were made in all, those of the steps included. */
  private count(tokens: number): void {
    this.tokens = Math.max(this.tokens, tokens);
    if (this.tokens && !this.mark) this.mark = { tokens: this.tokens, seconds: this.elapsed };
  }

  private growStep(fields: Fields): boolean {
    const key = string(fields.key, "");
    const known = this.steps.get(key);
    const offset = number(fields.offset, 0);
    const before = known?.text ?? "";
    if (offset > before.length) return false;
    const text = string(fields.text, "");
    this.count(number(fields.total, 0));
    this.steps.set(key, {
      key,
      title: string(fields.title, known?.title ?? ""),
      text: before.slice(0, offset) + text,
      tokens: number(fields.tokens, known?.tokens ?? 0),
      seconds: typeof fields.seconds === "number" ? fields.seconds : (known?.seconds ?? null),
    });
    return true;
  }

  private learn(fields: Fields): void {
    if (this.final && !FINAL.has(string(fields.status, ""))) return;
    this.status = string(fields.status, this.status);
    this.words = string(fields.words, this.words);
    this.level = string(fields.level, this.level);
    if (Array.isArray(fields.approvals)) this.approvals = fields.approvals.map((each) => asked(each as Fields, this.now()));
    this.tokens = Math.max(this.tokens, number(fields.tokens, 0));
    if (typeof fields.seconds === "number") {
      this.seconds = fields.seconds;
      this.heardAt = this.now();
    }
  }
}

function asked(fields: Fields, at: number): Asked {
  return {
    id: string(fields.id, ""),
    title: string(fields.title, ""),
    command: string(fields.command, ""),
    details: string(fields.details, ""),
    more: number(fields.more, 0),
    left: typeof fields.left === "number" ? fields.left : null,
    at,
    chosen: typeof fields.chosen === "boolean" ? fields.chosen : null,
  };
}
