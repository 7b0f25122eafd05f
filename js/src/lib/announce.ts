/** What a screen reader is told: of an answer that it began, paused, went on and ended, never its tokens. */

import type { Answer, Asked } from "./answer";
import { element, setText } from "./dom";
import { tokens } from "./words";

const ID = "ocnb-announcer";
const HIDDEN = "position:fixed;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap";
const READ = 200; // characters of a command that are read aloud
const LULL = 1000; // ms; a cut that heals sooner is not worth a word

/** One region for the whole page: a view is taken away at the moment when "done" should be read. */
function region(): HTMLElement {
  const known = document.getElementById(ID);
  if (known) return known;
  const made = element("div");
  made.id = ID;
  made.setAttribute("role", "status");
  made.setAttribute("aria-live", "polite");
  made.style.cssText = HIDDEN;
  return document.body.appendChild(made);
}

/** Say a change once, however many views and widgets have it to say. */
export function announce(words: string): void {
  setText(region(), words);
}

/** What a person is asked, once for each question, however often it is told. */
export class Asker {
  private readonly known = new Set<string>();

  /** The sentence that tells of new ones, or "". */
  news(asked: Asked[]): string {
    const news = asked.filter(({ id, chosen }) => chosen === null && !this.known.has(id));
    news.forEach(({ id }) => this.known.add(id));
    return news.map(({ title, command }) => `your approval is asked: ${title}: ${clipped(command)}`).join("; ");
  }
}

function clipped(text: string): string {
  return text.length <= READ ? text : `${text.slice(0, READ)}, and ${text.length - READ} more characters`;
}

/** Says a state once, however many messages and views bring it, and an outage once, however many attempts it takes. */
export class Announcer {
  private said = "";
  private started = false;
  private away = false;
  private readonly asker = new Asker();
  private lull: ReturnType<typeof setTimeout> | undefined;

  tell(answer: Answer): void {
    if (answer.status === "reconnecting") {
      if (!this.away) this.lull ??= setTimeout(() => this.tellAway(answer), LULL);
      return;
    }
    this.quiet();
    this.say(answer.asks ? this.asker.news(answer.approvals) : this.sentence(answer));
    this.away = false;
    this.started ||= answer.status === "streaming";
  }

  /** Say no more of what is waiting to be said. */
  quiet(): void {
    clearTimeout(this.lull);
    this.lull = undefined;
  }

  private tellAway(answer: Answer): void {
    this.away = true;
    this.say(answer.words || "reconnecting");
  }

  private say(now: string): void {
    if (!now || now === this.said) return;
    this.said = now;
    region().textContent = now;
  }

  private sentence(answer: Answer): string {
    switch (answer.status) {
      case "streaming":
        return this.started ? (this.away ? "answer goes on" : "") : "answer started";
      case "done":
        return ["answer done", tokens(answer.tokens)].filter(Boolean).join(", ");
      case "stopped":
      case "failed":
        return answer.words || `answer ${answer.status}`;
      case "waiting": // a thought before the first word is not worth one; a plan, while a draft is made, is
        return [...answer.steps.values()].some((step) => step.seconds !== null) ? "reasoning" : "";
      default:
        return "";
    }
  }
}
