/** What the page of models shows: the models of a project by cost, and their list prices as text. */
import type { ListPrice, StatisticsGroup } from '../../api/types';
import { nusd } from '../../ui/format';

export type PricePart = 'input' | 'cache_read' | 'output';

/** Steps with a model, those that cost most first, then those with most tokens. What is in no model is left out. */
export function modelRows(groups: readonly StatisticsGroup[]): StatisticsGroup[] {
  const tokens = (group: StatisticsGroup) => group.input_tokens + group.output_tokens;
  return groups
    .filter(({ key }) => key !== '' && key !== 'other')
    .toSorted((a, b) => (nusd(b.cost_usd) ?? -1) - (nusd(a.cost_usd) ?? -1) || tokens(b) - tokens(a));
}

/** `$0.15`; empty when the price is not known, or the part is billed as what it belongs to. */
export function priceText(price: ListPrice | null, part: PricePart): string {
  const usd = price?.usd_per_million[part];
  if (usd === undefined) return '';
  const [whole, digits = ''] = usd.split('.');
  return `$${whole}.${digits.padEnd(2, '0')}${price?.has_tiers ? '+' : ''}`;
}

export function priceTitle(price: ListPrice | null, part: PricePart): string {
  if (price === null) return '';
  if (!price.known) return 'The catalog has no price for this model';
  if (price.usd_per_million[part] === undefined)
    return part === 'cache_read' ? 'Billed like other input' : 'No price for this part';
  const tiers = price.has_tiers ? '. Long inputs cost more' : '';
  const requests = price.usd_per_request === null ? '' : `. Each request costs $${price.usd_per_request} more`;
  return `US dollars for a million tokens${tiers}${requests}`;
}
