/** Telling screen readers about changes of state; the answer itself is read where it stands, never token by token. */

import type { Answer } from "./answer";
import { element } from "./dom";
import { tokens } from "./words";

const ID = "ocnb-announcer";
const HIDDEN = "position:fixed;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap";

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

/** Says a state once, however many messages and views bring it. */
export class Announcer {
  private said = "";

  tell(answer: Answer): void {
    const now = sentence(answer);
    if (!now || now === this.said) return;
    this.said = now;
    region().textContent = now;
  }
}

function sentence(answer: Answer): string {
  switch (answer.status) {
    case "streaming":
      return "answer started";
    case "reconnecting":
      return answer.words || "reconnecting";
    case "done":
      return ["answer done", tokens(answer.tokens)].filter(Boolean).join(", ");
    case "stopped":
    case "failed":
      return answer.words || `answer ${answer.status}`;
    default:
      return "";
  }
}
