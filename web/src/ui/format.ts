/** Numbers and times as people read them. Integers come in (microseconds UTC, nano-USD); text goes out. */

/** A malformed `navigator.language` (`en-US@posix`) must not break the page. */
export function safeLocale(wanted: string | undefined): string {
  try {
    return Intl.getCanonicalLocales(wanted ?? 'en')[0] ?? 'en';
  } catch {
    return 'en';
  }
}

const locale = safeLocale(typeof navigator === 'undefined' ? undefined : navigator.language);

let isUtc = false;

/** The zone of all times: that of the browser, or UTC. Before anything is drawn. */
export function applyZone(zone: string): void {
  isUtc = zone === 'UTC';
  const timeZone = isUtc ? { timeZone: 'UTC' } : {};
  dayFormat = new Intl.DateTimeFormat(locale, { year: 'numeric', month: 'short', day: 'numeric', ...timeZone });
  shortDayFormat = new Intl.DateTimeFormat(locale, { month: 'short', day: 'numeric', ...timeZone });
}

const intFormat = new Intl.NumberFormat('en-US');

/** `842 us`, `12 ms`, `1.24 s`, `14.2 s`, `2 m 05 s`, `3 h 07 m`; empty when unknown. */
export function duration(us: number | null): string {
  if (us === null || !Number.isFinite(us)) return '';
  if (us < 0) return `-${duration(-us)}`;
  if (us < 1_000) return `${Math.round(us)} µs`;
  const ms = us / 1_000;
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  const s = us / 1_000_000;
  if (s < 9.995) return `${s.toFixed(2)} s`;
  if (s < 59.95) return `${s.toFixed(1)} s`;
  const seconds = Math.round(s);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} m ${pad(seconds % 60)} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} m`;
  const hours = Math.round(s / 3_600);
  return `${Math.floor(hours / 24)} d ${pad(hours % 24)} h`;
}

/** A running clock: tenths under 10 s, then whole seconds, so that figures do not dance. */
export function ticking(us: number): string {
  const s = Math.max(0, us) / 1_000_000;
  return s < 10 ? `${s.toFixed(1)} s` : duration(Math.floor(s) * 1_000_000).replace(/(\d+)\.0 s$/, '$1 s');
}

/** `950`, `12.4k`, `3.1M`, `2.5B`; empty when unknown. */
export function count(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return '';
  if (value < 10_000) return intFormat.format(value);
  if (value < 999_500) return `${trim((value / 1_000).toFixed(value < 99_950 ? 1 : 0))}k`;
  if (value < 999_500_000) return `${trim((value / 1_000_000).toFixed(value < 99_950_000 ? 1 : 0))}M`;
  return `${trim((value / 1_000_000_000).toFixed(1))}B`;
}

export function exact(value: number): string {
  return intFormat.format(value);
}

/** Smaller costs would not fit a column: the exact value is in the title. */
const SHOWN_COST_MIN_USD = 0.00000995;
const LARGE_COST_USD = 999_999.5;

/** Nano-USD to two significant digits: `$0.0021`; `$0` only when it is known to be free; empty when unknown. */
export function cost(nusd: number | null): string {
  if (nusd === null || !Number.isFinite(nusd)) return '';
  if (nusd === 0) return '$0';
  const usd = nusd / 1e9;
  if (Math.abs(usd) >= LARGE_COST_USD) return `$${count(Math.round(usd))}`;
  if (Math.abs(usd) >= 100) return `$${intFormat.format(Math.round(usd))}`;
  if (Math.abs(usd) >= 0.995) return `$${usd.toFixed(2)}`;
  if (Math.abs(usd) < SHOWN_COST_MIN_USD) return '<$0.00001';
  const digits = Math.min(9, 1 - Math.floor(Math.log10(Math.abs(usd))));
  return `$${usd.toFixed(digits)}`;
}

/** Every digit of it, for titles: `$0.00000032`. */
export function exactCost(nusd: number): string {
  return `$${trim((nusd / 1e9).toFixed(9))}`;
}

/** The decimal string of REST as nano-USD; null stays null. */
export function nusd(text: string | null | undefined): number | null {
  if (text === null || text === undefined) return null;
  const value = Math.round(Number(text) * 1e9);
  return Number.isFinite(value) ? value : null;
}

export function bytes(value: number): string {
  if (value < 1_000) return `${value} B`;
  if (value < 999_500) return `${trim((value / 1_000).toFixed(value < 9_950 ? 1 : 0))} KB`;
  return `${trim((value / 1_000_000).toFixed(1))} MB`;
}

/** `just now`, `40 s ago`, `5 m ago`, `3 h ago`, `2 d ago`, then day and time. */
export function ago(us: number, nowUs: number): string {
  const s = Math.floor((nowUs - us) / 1_000_000);
  if (s < -5) return dateTime(us);
  if (s < 5) return 'just now';
  if (s < 60) return `${s} s ago`;
  if (s < 3_600) return `${Math.floor(s / 60)} m ago`;
  if (s < 86_400) return `${Math.floor(s / 3_600)} h ago`;
  if (s < 7 * 86_400) return `${Math.floor(s / 86_400)} d ago`;
  return dayAndTime(us, nowUs);
}

let dayFormat = new Intl.DateTimeFormat(locale, { year: 'numeric', month: 'short', day: 'numeric' });
let shortDayFormat = new Intl.DateTimeFormat(locale, { month: 'short', day: 'numeric' });

export function day(us: number): string {
  return dayFormat.format(us / 1_000);
}

/** `14:03:07.412`, 24 hours, local time. */
export function clock(us: number, digits: 0 | 3 | 6 = 3): string {
  const date = new Date(us / 1_000);
  const [hours, minutes, seconds] = isUtc
    ? [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()]
    : [date.getHours(), date.getMinutes(), date.getSeconds()];
  const time = `${pad(hours)}:${pad(minutes)}:${pad(seconds)}`;
  if (digits === 0) return time;
  const fraction = String(Math.floor(us % 1_000_000)).padStart(6, '0');
  return `${time}.${fraction.slice(0, digits)}`;
}

/** `Nov 26, 14:03` in local time; with the year when it is not that of `nowUs`. */
export function dayAndTime(us: number, nowUs: number = Date.now() * 1_000): string {
  const sameYear = yearOf(us) === yearOf(nowUs);
  return `${(sameYear ? shortDayFormat : dayFormat).format(us / 1_000)}, ${clock(us, 0).slice(0, 5)}`;
}

function yearOf(us: number): number {
  const date = new Date(us / 1_000);
  return isUtc ? date.getUTCFullYear() : date.getFullYear();
}

/** `Nov 26, 14:03:07` in local time. */
export function dateTime(us: number): string {
  return `${shortDayFormat.format(us / 1_000)}, ${clock(us, 0)}`;
}

/** The whole moment, for titles: local with zone, and UTC. */
export function moment(us: number): string {
  const date = new Date(us / 1_000);
  return `${day(us)} ${clock(us, 6)} ${zoneName(date)}\n${date.toISOString().replace('Z', '').replace('T', ' ')} UTC`;
}

/** `UTC+2`, `UTC`. */
export function zoneName(date: Date = new Date()): string {
  const minutes = isUtc ? 0 : -date.getTimezoneOffset();
  if (minutes === 0) return 'UTC';
  const hours = Math.floor(Math.abs(minutes) / 60);
  const rest = Math.abs(minutes) % 60;
  return `UTC${minutes < 0 ? '-' : '+'}${hours}${rest ? `:${pad(rest)}` : ''}`;
}

/** The name of the zone in which times are shown (`Europe/Berlin`), for titles. */
export function zoneId(): string {
  return isUtc ? 'UTC' : localZone();
}

/** The name of the browser's zone. */
export function localZone(): string {
  try {
    return Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
  } catch {
    return 'UTC';
  }
}

/** An offset on a task's own clock: `+1.24 s`. */
export function offset(us: number | null): string {
  if (us === null || !Number.isFinite(us)) return '';
  if (us === 0) return '0';
  return us < 0 ? duration(us) : `+${duration(us)}`;
}

/** Tick distance for an axis: 1, 2 or 5 times a power of ten (then 15, 30, 60 s and so on), at least `spanUs / ticks`. */
export function tickStep(spanUs: number, ticks: number): number {
  const wanted = Math.max(1, spanUs / Math.max(1, ticks));
  const clockSteps = [15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400].map((s) => s * 1e6);
  if (wanted > 10e6) return clockSteps.find((step) => step >= wanted) ?? Math.ceil(wanted / 86_400e6) * 86_400e6;
  const power = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= wanted) ?? power * 10;
}

/** Axis labels: as few digits as the distance of the ticks needs. */
export function tickLabel(us: number, step: number): string {
  if (us === 0) return '0';
  if (step < 1_000) return us < 1_000 ? `${Math.round(us)} µs` : `${trim((us / 1_000).toFixed(3))} ms`;
  if (us < 1_000_000 && step < 1_000_000) return `${trim((us / 1_000).toFixed(1))} ms`;
  if (us < 60_000_000) return `${trim((us / 1_000_000).toFixed(step < 10_000 ? 3 : step < 100_000 ? 2 : 1))} s`;
  return duration(us);
}

/** One line of text without the marks of Markdown: for rows and previews. */
export function plainLine(text: string): string {
  return text.replace(/\*\*|`|^#{1,6} |(?<=\s)#{1,6} /g, '');
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${exact(n)} ${n === 1 ? one : many}`;
}

function pad(n: number): string {
  return String(n).padStart(2, '0');
}

function trim(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** A time of an answer (`2026-11-29T20:00:00Z`) in microseconds since the epoch; null when it is none. */
export function microsecondsOf(text: string): number | null {
  const ms = Date.parse(text);
  return Number.isFinite(ms) ? ms * 1_000 : null;
}
