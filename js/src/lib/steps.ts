/** The reasoning part: folded by one click, a line per step with what it took. */

import type { Answer, Step } from "./answer";
import { element, setText } from "./dom";
import { seconds, tokens } from "./words";

const CODE = /^(?:tool|approval):/; // keys of steps whose text is a command or what it wrote, as in render.py
const LINE = 100; // characters; a longer step unfolds to its whole text

interface Row {
  box: HTMLDetailsElement;
  title: HTMLElement;
  line: HTMLElement;
  took: HTMLElement;
  whole: HTMLElement;
}

export class Steps {
  readonly root = element("details", "ocnb-steps");
  private readonly head = this.root.appendChild(element("summary"));
  private readonly rows = new Map<string, Row>();

  constructor() {
    this.root.open = true;
    this.root.hidden = true;
  }

  update(answer: Answer): void {
    const count = answer.steps.size;
    if (!count) return;
    this.root.hidden = false;
    const level = answer.level.split(",", 1)[0]!;
    setText(this.head, [`Reasoning`, level, count === 1 ? "1 step" : `${count} steps`].filter(Boolean).join(", "));
    let last: Row | undefined;
    for (const step of answer.steps.values()) {
      last = this.row(step.key);
      fill(last, step);
      last.line.classList.remove("ocnb-cursor");
    }
    if (!answer.text && !answer.final) last?.line.classList.add("ocnb-cursor");
  }

  private row(key: string): Row {
    const known = this.rows.get(key);
    if (known) return known;
    const box = this.root.appendChild(element("details", "ocnb-step"));
    if (CODE.test(key)) box.dataset.code = "true";
    const summary = box.appendChild(element("summary"));
    const row = {
      box,
      title: summary.appendChild(element("b")),
      line: summary.appendChild(element("span")),
      took: summary.appendChild(element("span")),
      whole: box.appendChild(element("div")),
    };
    summary.addEventListener("click", (event) => {
      if (!box.dataset.long) event.preventDefault();
    });
    this.rows.set(key, row);
    return row;
  }
}

function fill(row: Row, step: Step): void {
  const text = step.text.trim();
  const long = text.length > LINE || text.includes("\n");
  if (long) row.box.dataset.long = "true";
  setText(row.title, step.title);
  setText(row.line, text.slice(text.lastIndexOf("\n") + 1));
  setText(row.took, [step.seconds === null ? "" : seconds(step.seconds), tokens(step.tokens)].filter(Boolean).join(" · "));
  if (row.box.open || long) setText(row.whole, text);
}
