/** Tokens and cost of a task or a session. A total that leaves something out is a lower bound, and says so. */
import { cost, count, exact, nusd, plural } from './format';

export interface Totals {
  input_tokens: number;
  output_tokens: number;
  cost_usd: string | null;
  unpriced_steps: number;
  unmetered_calls: number;
}

/** `12.3k`, `≥ 12.3k`, or `?` when no call reported any. */
export function tokensText(totals: Totals): string {
  const tokens = totals.input_tokens + totals.output_tokens;
  if (totals.unmetered_calls <= 0) return count(tokens);
  return tokens > 0 ? `≥ ${count(tokens)}` : '?';
}

export function tokensTitle(totals: Totals): string {
  const { input_tokens: input, output_tokens: output } = totals;
  if (input + output === 0) return 'No token counts reported';
  return [`${exact(input)} tokens in, ${exact(output)} out`, ...unmetered(totals)].join('\n');
}

/** `$0.0021` or `≥ $0.0021`; empty when unknown. */
export function costText(totals: Totals): string {
  const text = cost(nusd(totals.cost_usd));
  return text && (totals.unpriced_steps > 0 || totals.unmetered_calls > 0) ? `≥ ${text}` : text;
}

export function costTitle(totals: Totals): string {
  const { cost_usd: usd, unpriced_steps: unpriced, unmetered_calls: calls } = totals;
  if (usd === null)
    return `Unknown cost: ${calls > 0 && unpriced === 0 ? 'no token counts reported' : 'no price for the models used'}`;
  const exactly = unpriced > 0 ? `$${usd}, not including ${plural(unpriced, 'step')} without a price` : `$${usd}`;
  return [exactly, ...unmetered(totals)].join('\n');
}

function unmetered({ unmetered_calls: calls }: Totals): string[] {
  return calls > 0 ? [`At least: ${plural(calls, 'call')} reported no tokens`] : [];
}
