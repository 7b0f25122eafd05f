/**
 * What keeps a finished answer on the page after its widget is gone, and says whether it did. Python replaces the display
 * first, and then the old place is no longer part of the page; a page reloaded in mid-run does not get that message.
 */
export function keeper(el: HTMLElement, root: HTMLElement): () => boolean {
  let place: HTMLElement | null = null;
  requestAnimationFrame(() => (place = el.parentElement));
  return () => {
    place ??= el.parentElement; // no frame was drawn since
    if (!place?.isConnected) return false;
    place.append(root);
    // JupyterLab hides the place of a widget that is gone.
    setTimeout(() => place?.classList.remove("lm-mod-hidden"));
    return true;
  };
}
