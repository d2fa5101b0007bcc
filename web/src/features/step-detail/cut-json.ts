/** JSON that was cut off by a size limit, completed so that everything before the cut can be read. */
import type { Json } from './messages';

/** So many places before the cut are tried: a key without its value, a number cut in half. */
const PLACES_MAX = 8;

/** Open brackets as a linked list: a place keeps those that were open there without a copy. */
interface Bracket {
  closer: string;
  outer: Bracket | null;
}

interface Place {
  at: number;
  open: Bracket | null;
}

/**
 * The value of a JSON text up to where it was cut.
 *
 * @returns undefined when the text is not the beginning of a list or an object
 */
export function parseCut(text: string): Json | undefined {
  const places: Place[] = [];
  let open = null as Bracket | null;
  let inString = false;
  let end = text.length;
  for (let at = 0; at < text.length; at++) {
    const char = text[at] as string;
    if (inString) {
      if (char === '\\') at++;
      else if (char === '"') inString = false;
      if (at >= text.length) end = text.length - 1; // the cut is after a backslash
    } else if (char === '"') inString = true;
    else if (char === '{' || char === '[') {
      open = { closer: char === '{' ? '}' : ']', outer: open };
      remember(places, at + 1, open);
    } else if (char === '}' || char === ']') open = open?.outer ?? null;
    else if (char === ',') remember(places, at, open);
  }
  // \u and up to three digits are no character yet
  const body = inString ? `${text.slice(0, end).replace(/(?<!\\)((?:\\\\)*)\\u[0-9a-f]{0,3}$/i, '$1')}"` : text;
  places.push({ at: body.length, open });
  for (const place of places.toReversed()) {
    try {
      const value = JSON.parse(
        (place.at === body.length ? body : text.slice(0, place.at)) + closersOf(place.open),
      ) as Json;
      return typeof value === 'object' && value !== null ? value : undefined;
    } catch {
      // an earlier place ends between two values
    }
  }
  return undefined;
}

function remember(places: Place[], at: number, open: Bracket | null): void {
  places.push({ at, open });
  if (places.length > PLACES_MAX) places.shift();
}

function closersOf(open: Bracket | null): string {
  const closers: string[] = [];
  for (let bracket = open; bracket !== null; bracket = bracket.outer) closers.push(bracket.closer);
  return closers.join('');
}
