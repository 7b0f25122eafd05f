/** Whether somebody uses a view, by the focus: what is in use is not drawn anew. */

export class Use {
  on = false;

  constructor(
    private readonly root: HTMLElement,
    private readonly tell: (on: boolean) => void,
  ) {
    root.addEventListener("focusin", () => this.set(true));
    root.addEventListener("focusout", () => setTimeout(() => this.left()));
  }

  private set(on: boolean): void {
    if (on !== this.on) this.tell(on);
    this.on = on;
  }

  /** The focus went elsewhere; or the place was taken out of the page, and then it will be given back. */
  private left(): void {
    if (this.root.isConnected && !this.root.contains(document.activeElement)) this.set(false);
  }
}
