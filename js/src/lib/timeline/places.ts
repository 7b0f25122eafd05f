/** Where the live view stands: in the places that the kernel's picture left for it, for as long as they are there. */

import type { Timeline } from "./timeline";

const CLASS = "ocnb-timeline-place";

/**
 * Puts a view into every place on the page of that name, also one that is drawn again later. A view whose place is
 * gone goes to the next one, so that what was chosen in it stays.
 */
export class Places {
  private readonly shown = new Map<Element, { view: Timeline; picture: Node[] }>();
  private readonly all = document.getElementsByClassName(CLASS);
  private readonly observer = new MutationObserver(() => this.look());

  constructor(
    private readonly name: string,
    private readonly make: () => Timeline,
  ) {
    this.observer.observe(document.body, { childList: true, subtree: true });
    this.look();
  }

  get views(): Timeline[] {
    return [...this.shown.values()].map(({ view }) => view);
  }

  look(): void {
    for (const place of this.all) {
      if (!this.shown.has(place) && (place as HTMLElement).dataset.ocnbTimeline === this.name) this.fill(place);
    }
  }

  /** Give the places back to their pictures. */
  dispose(): void {
    this.observer.disconnect();
    for (const [place, { view, picture }] of this.shown) {
      view.dispose();
      place.replaceChildren(...picture);
    }
    this.shown.clear();
  }

  private fill(place: Element): void {
    const left = [...this.shown].find(([old]) => !old.isConnected);
    if (left) this.shown.delete(left[0]);
    const view = left ? left[1].view : this.make();
    this.shown.set(place, { view, picture: [...place.childNodes] });
    place.replaceChildren(view.root);
    view.returned();
  }
}
