/** A pool as a row of squares, those at work filled; as one bar where they would be too small. Its width stays. */

import { element } from "../dom";

const MOST = 24; // squares

export class Meter {
  readonly root = element("span", "ocnb-meter");
  private readonly bar = element("i", "ocnb-on");
  private parts: HTMLElement[] = [];

  constructor() {
    this.root.setAttribute("aria-hidden", "true"); // the words beside it say the same
  }

  show(size: number, used: number): void {
    const squares = size > MOST ? 0 : size;
    if (this.parts.length !== squares || !this.root.firstChild) this.divide(squares);
    this.parts.forEach((part, n) => part.classList.toggle("ocnb-on", n < used));
    this.bar.style.width = `${size && Math.min(100, (100 * used) / size)}%`;
  }

  private divide(squares: number): void {
    this.parts = Array.from({ length: squares }, () => element("i"));
    this.root.classList.toggle("ocnb-bar", !squares);
    this.root.replaceChildren(...(squares ? this.parts : [this.bar]));
  }
}
