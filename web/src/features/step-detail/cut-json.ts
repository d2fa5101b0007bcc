/** JSON that was cut off by a size limit, completed so that everything before the cut can be read. */
import type { Json } from './messages';

/** So many places before the cut are tried: a key without its value, a number cut in half. */
const PLACES_MAX = 32;

interface Place {
  at: number;
  closers: string;
}

/**
 * The value of a JSON text up to where it was cut.
 *
 * @returns undefined when the text is not the beginning of a list or an object
 */
export function parseCut(text: string): Json | undefined {
  const places: Place[] = [];
  const stack: string[] = [];
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
      stack.push(char === '{' ? '}' : ']');
      remember(places, at + 1, stack);
    } else if (char === '}' || char === ']') stack.pop();
    else if (char === ',') remember(places, at, stack);
  }
  const closers = stack.toReversed().join('');
  // \u and up to three digits are no character yet
  const body = inString ? `${text.slice(0, end).replace(/(?<!\\)((?:\\\\)*)\\u[0-9a-f]{0,3}$/i, '$1')}"` : text;
  const candidates = [body + closers, ...places.toReversed().map((place) => text.slice(0, place.at) + place.closers)];
  for (const candidate of candidates) {
    try {
      const value = JSON.parse(candidate) as Json;
      return typeof value === 'object' && value !== null ? value : undefined;
    } catch {
      // an earlier place ends between two values
    }
  }
  return undefined;
}

function remember(places: Place[], at: number, stack: readonly string[]): void {
  places.push({ at, closers: stack.toReversed().join('') });
  if (places.length > PLACES_MAX) places.shift();
}
