/** What the page of models shows: the models of a project by cost, and their list prices as text. */
import type { ListPrice, StatisticsGroup } from '../../api/types';
import { exact, nusd, plural } from '../../ui/format';

export type PricePart = 'input' | 'cache_read' | 'output';

/** Steps with a model: those without any known cost first, then those that cost most, then those with most tokens. */
export function modelRows(groups: readonly StatisticsGroup[]): StatisticsGroup[] {
  const tokens = (group: StatisticsGroup) => group.input_tokens + group.output_tokens;
  return groups
    .filter(({ key }) => key !== '' && key !== 'other')
    .toSorted(
      (a, b) =>
        Number(isUnknown(b)) - Number(isUnknown(a)) ||
        (nusd(b.cost_usd) ?? -1) - (nusd(a.cost_usd) ?? -1) ||
        tokens(b) - tokens(a),
    );
}

/** Whether the model used tokens and no cost of a call is known. */
export function isUnknown(group: StatisticsGroup): boolean {
  return group.priced_steps === 0 && group.input_tokens + group.output_tokens > 0;
}

/** `2 models had no price: …`: one that was set since counts for later calls. Empty when no cost is unknown. */
export function unknownSentence(rows: readonly StatisticsGroup[]): string {
  const unknown = rows.filter(isUnknown);
  if (unknown.length === 0) return '';
  const calls = unknown.reduce((sum, { steps }) => sum + steps, 0);
  const models = unknown.length === 1 ? '1 model' : `${exact(unknown.length)} models`;
  return `${models} had no price: the cost of ${plural(calls, 'call')} is unknown.`;
}

/** `$0.15`; empty when the price is not known, or the part is billed as what it belongs to. */
export function priceText(price: ListPrice | null, part: PricePart): string {
  const text = usdText(price?.usd_per_million[part]);
  return text && price?.has_tiers ? `${text}+` : text;
}

/** A decimal string as dollars, with all of its digits and at least cents; empty when there is none. */
export function usdText(usd: string | undefined): string {
  if (usd === undefined) return '';
  const [whole, digits = ''] = usd.split('.');
  return `$${whole}.${digits.padEnd(2, '0')}`;
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
