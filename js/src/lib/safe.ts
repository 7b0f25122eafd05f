/** Which addresses of a model's text may be followed, and which images may load by themselves. */

const FOLLOWED = /^(?:https?:\/\/|mailto:|#)/i;
const REMOTE = /^https?:\/\//i;
const INLINE = /^data:image\/(?:png|jpeg|gif|webp)[;,]/i;

/** The bare address of a Markdown destination: no angle brackets, no title. */
export function destination(written: string): string {
  const trimmed = written.trim();
  return trimmed.startsWith("<") ? trimmed.slice(1).split(">", 1)[0]! : trimmed.split(/\s/, 1)[0]!;
}

/** The address if a link may carry it, else null. */
export function safeHref(written: string): string | null {
  const address = destination(written);
  return FOLLOWED.test(address) ? address : null;
}

/** An image inside the text itself: it loads nothing from elsewhere. */
export function inlineImage(address: string): boolean {
  return INLINE.test(address);
}

/** The host an image would be fetched from, or null for what is no web address. */
export function remoteHost(address: string): string | null {
  if (!REMOTE.test(address)) return null;
  try {
    return new URL(address).host || null;
  } catch {
    return null;
  }
}
