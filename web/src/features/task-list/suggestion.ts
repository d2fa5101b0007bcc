/** What a refused query perhaps meant, as a query that can be used. */

const CLAUSE = /-?(?:[\w.]+:)?(?:"[^"]*"?|[^\s()]*)/g;

/**
 * The query with the suggestion in the place of the clause that was refused.
 *
 * @param column where the mistake is, from 1
 * @param suggestion a field (`latency:`) or a clause (`status:error`)
 * @returns null when the suggestion is a description, or there is no clause at the column
 */
export function withSuggestion(query: string, column: number | null, suggestion: string | null): string | null {
  if (column === null || suggestion === null || !/^[\w.]+:\S*$/.test(suggestion)) return null;
  if (/:value$|^tag\.name/.test(suggestion)) return null;
  for (const match of query.matchAll(CLAUSE)) {
    const clause = match[0];
    const from = match.index;
    if (clause === '' || column - 1 < from || column - 1 >= from + clause.length) continue;
    const sign = clause.startsWith('-') ? '-' : '';
    const value = suggestion.endsWith(':') ? clause.slice(clause.indexOf(':') + 1) : '';
    return `${query.slice(0, from)}${sign}${suggestion}${value}${query.slice(from + clause.length)}`;
  }
  return null;
}
