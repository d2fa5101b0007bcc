/** Limits as people type them: an empty field is no limit, bytes are in MB and exact. */
const MEGABYTE = 1_000_000;

/** Parse a whole number of at least 1; null: empty; undefined: neither. */
export function parseLimit(text: string): number | null | undefined {
  const plain = text.replaceAll(/[\s,]/g, '');
  if (plain === '') return null;
  if (!/^[1-9][0-9]{0,11}$/.test(plain)) return undefined;
  return Number(plain);
}

/** Parse megabytes to bytes: at least 1 byte; null: empty; undefined: neither. */
export function parseMegabytes(text: string): number | null | undefined {
  const plain = text.replaceAll(/[\s,]/g, '');
  if (plain === '') return null;
  if (!/^[0-9]{1,9}(\.[0-9]{1,6})?$/.test(plain)) return undefined;
  return Math.round(Number(plain) * MEGABYTE) || undefined;
}

export function limitText(value: number | null | undefined): string {
  return value ? String(value) : '';
}

export function megabytesText(value: number | null | undefined): string {
  return value ? String(value / MEGABYTE) : '';
}

/** The used share of a limit, 0 to 1; null without a limit. */
export function share(used: number, limit: number | null | undefined): number | null {
  return limit ? Math.min(1, used / limit) : null;
}
