/** Own prices of a project: server data, what a form of a price says, and what a preview says in a sentence. */
import { queryOptions } from '@tanstack/react-query';
import { request } from '../../api/http';
import type { OwnPrice, OwnPrices, operations, PricePreview, SetPrice } from '../../api/types';
import { cost, exact, nusd, plural } from '../../ui/format';

export type NewOwnPrice =
  operations['ApiIngestProjectOwnPricesSetOwnPrice']['requestBody']['content']['application/json'];

/** The parts that the form has; the API has more. */
export const PARTS = [
  { part: 'input', label: 'Input' },
  { part: 'cache_read', label: 'Cached input' },
  { part: 'cache_write', label: 'Cache write' },
  { part: 'output', label: 'Output' },
] as const;

export type FormPart = (typeof PARTS)[number]['part'];

export interface PriceForm {
  model: string;
  provider: string;
  usd: Readonly<Record<FormPart, string>>;
  /** parts that the form has no field for: a new version of the price keeps them */
  further: Readonly<Record<string, string>>;
  usdPerRequest: string | null;
  /** a UTC day as `2026-11-30`; empty: now */
  from: string;
  note: string;
}

const NO_PRICE: PriceForm['usd'] = { input: '', cache_read: '', cache_write: '', output: '' };

/** The form for a price that counts now, a project's own one or the list price; without one the form is empty. */
export function formOf(
  model: string,
  provider: string | null,
  price: { usd_per_million: Readonly<Record<string, string>> | null; usd_per_request?: string | null } | null,
): PriceForm {
  const parts = Object.entries(price?.usd_per_million ?? {});
  return {
    model,
    provider: provider ?? '',
    usd: { ...NO_PRICE, ...Object.fromEntries(parts.filter(([part]) => part in NO_PRICE)) },
    further: Object.fromEntries(parts.filter(([part]) => !(part in NO_PRICE))),
    usdPerRequest: price?.usd_per_request ?? null,
    from: '',
    note: '',
  };
}

/** `Stays: input audio $40, each request $0.01`; null when the fields of the form are all. */
export function furtherSentence(form: PriceForm): string | null {
  const further = Object.entries(form.further).map(([part, usd]) => `${part.replaceAll('_', ' ')} $${usd}`);
  if (form.usdPerRequest) further.push(`each request $${form.usdPerRequest}`);
  return further.length > 0 ? `Stays: ${further.join(', ')}.` : null;
}

export const STATE_WORDS: Readonly<Record<OwnPrice['state'], string>> = {
  current: 'counts now',
  planned: 'planned',
  past: 'past',
  replaced: 'replaced',
};

const USD = /^\d{1,7}(\.\d{1,6})?$/;

export function ownPricesQuery(project: string) {
  return queryOptions({
    queryKey: ['own-prices', project],
    queryFn: ({ signal }) => request<OwnPrices>(`/api/ingest/${project}/own-prices`, { signal }),
  });
}

export const setPrice = (project: string, price: NewOwnPrice) =>
  request<SetPrice>(`/api/ingest/${project}/own-prices`, { method: 'POST', body: price });

/** Without a price: all calls, with the prices that count now. */
export const previewPrices = (project: string, days: number, price: NewOwnPrice | null) =>
  request<PricePreview>(`/api/ingest/${project}/own-prices/preview`, { method: 'POST', body: { days, price } });

/** What is wrong with each field; empty when the form can be sent. */
export function faultsOf(form: PriceForm): Partial<Record<'model' | FormPart, string>> {
  const faults: Partial<Record<'model' | FormPart, string>> = {};
  if (form.model.trim().replaceAll('*', '') === '') faults.model = 'Model is required.';
  for (const { part } of PARTS) {
    const usd = form.usd[part].trim();
    if (usd !== '' && (!USD.test(usd) || Number(usd) > 1_000_000))
      faults[part] = 'Write US dollars, such as 0.15, with at most six digits after the point.';
  }
  if (form.usd.input.trim() === '' && form.usd.output.trim() === '') faults.input ??= 'A price needs input or output.';
  return faults;
}

/** The body of a request. Without prices (`listPrice`) it says that the list price counts again. */
export function priceOf(form: PriceForm, listPrice = false): NewOwnPrice {
  const usd = Object.fromEntries(
    PARTS.map(({ part }) => [part, form.usd[part].trim()] as const).filter(([, text]) => text !== ''),
  );
  return {
    model: form.model.trim(),
    provider: form.provider.trim() || null,
    usd_per_million: listPrice ? null : { ...form.further, ...usd },
    usd_per_request: listPrice ? null : form.usdPerRequest,
    from_us: form.from ? Date.parse(`${form.from}T00:00:00Z`) * 1_000 : null,
    note: form.note.trim() || null,
  };
}

/** What a price would change, as names and values; empty when no stored call would be billed by it. */
export function previewFacts(preview: PricePreview): [string, string][] {
  if (preview.calls === 0) return [];
  const before = nusd(preview.before_usd) ?? 0;
  const after = nusd(preview.after_usd) ?? 0;
  const sign = after < before ? '−' : '+';
  return [
    ['Calls', exact(preview.calls)],
    ['Cost now', cost(before)],
    ['With this price', cost(after)],
    ['Difference', after === before ? 'none' : `${sign}${cost(Math.abs(after - before))}`],
  ];
}

/** Of calls without a cost; empty when there are none. */
export function unknownCalls({ unknown_before, unknown_after }: PricePreview): string {
  if (unknown_before === 0) return '';
  const known = unknown_before - unknown_after;
  return `${plural(unknown_before, 'call has', 'calls have')} no cost now. This price gives a cost to ${known === unknown_before ? (known === 1 ? 'it' : 'all of them') : exact(known)}.`;
}
