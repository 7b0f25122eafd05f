/** Which elements are near enough to the window to be worth drawing. */

const NEAR = "300px 0px";
const around = { rootMargin: NEAR, scrollMargin: NEAR }; // the window and what scrolls in it, so that scrolling meets no blank lanes

const told = new WeakMap<Element, (seen: boolean) => void>();
const observer = new IntersectionObserver(
  (entries) => entries.forEach(({ target, isIntersecting }) => told.get(target)?.(isIntersecting)),
  around,
);

/** Say whether `el` is in sight, now and whenever that changes. */
export function watch(el: Element, tell: (seen: boolean) => void): void {
  told.set(el, tell);
  observer.observe(el);
}
