/** Where the live view stands: in the places that the kernel's picture left for it, for as long as they are there. */

/** What stands in a place. */
export interface Placed {
  readonly root: HTMLElement;
  /** It stands in the page again, or for the first time. */
  returned(): void;
  dispose(): void;
}

/**
 * Puts a view into every place on the page of that kind and name, also one that is drawn again later. A view whose place is
 * gone goes to the next one, so that what was chosen in it stays.
 */
export class Places<View extends Placed> {
  private readonly shown = new Map<Element, { view: View; picture: Node[] }>();
  private readonly all: HTMLCollectionOf<Element>;
  private readonly observer = new MutationObserver(() => this.look());

  constructor(
    private readonly kind: string,
    private readonly name: string,
    private readonly make: () => View,
  ) {
    this.all = document.getElementsByClassName(`ocnb-${kind}-place`);
    this.observer.observe(document.body, { childList: true, subtree: true });
    this.look();
  }

  get views(): View[] {
    return [...this.shown.values()].map(({ view }) => view);
  }

  look(): void {
    for (const place of this.all) {
      if (!this.shown.has(place) && place.getAttribute(`data-ocnb-${this.kind}`) === this.name) this.fill(place);
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
