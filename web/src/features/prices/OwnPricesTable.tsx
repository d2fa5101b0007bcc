import { useState } from 'react';
import type { Member, OwnPrice } from '../../api/types';
import { When } from '../../ui/controls';
import { plural } from '../../ui/format';
import { usdText } from '../statistics/models';
import { STATE_WORDS } from './prices';
import './prices.css';

const PARTS = [
  ['input', 'In'],
  ['cache_read', 'Cached'],
  ['output', 'Out'],
] as const;

interface OwnPricesTableProps {
  prices: readonly OwnPrice[];
  members: readonly Member[];
}

/** The versions of a project's own prices, those that were set last first. Earlier ones on request. */
export function OwnPricesTable({ prices, members }: OwnPricesTableProps) {
  const [all, setAll] = useState(false);
  const live = prices.filter(({ state }) => state === 'current' || state === 'planned');
  const earlier = prices.length - live.length;
  const names = new Map(members.map(({ user_id, username }) => [`user:${user_id}`, username]));
  return (
    <>
      <div className="group-table">
        <table className="table stacked flowing" aria-label="Own prices">
          <thead>
            <tr>
              <th scope="col">Model</th>
              <th scope="col">From</th>
              <th scope="col" className="num">
                In
              </th>
              <th scope="col" className="num">
                Cached
              </th>
              <th scope="col" className="num">
                Out
              </th>
              <th scope="col">State</th>
              <th scope="col">Set</th>
            </tr>
          </thead>
          <tbody>
            {(all ? prices : live).map((price) => (
              <tr key={price.price_id} data-quiet={price.state === 'past' || price.state === 'replaced' || undefined}>
                <td className="price-model">
                  {price.model}
                  {price.provider ? <span className="faint"> · {price.provider}</span> : null}
                  {price.note ? <div className="faint">{price.note}</div> : null}
                </td>
                <td data-label="From">{price.from_us === 0 ? 'always' : <When us={price.from_us} />}</td>
                {price.usd_per_million === null ? (
                  <td colSpan={3} className="quiet price-list" data-label="Price">
                    list price
                  </td>
                ) : (
                  PARTS.map(([part, label]) => (
                    <td key={part} className="num" data-label={label}>
                      {usdText(price.usd_per_million?.[part])}
                    </td>
                  ))
                )}
                <td data-label="State">
                  <span className="chip">{STATE_WORDS[price.state]}</span>
                </td>
                <td className="quiet" data-label="Set">
                  <When us={price.set_at_us} /> by {names.get(price.set_by) ?? 'a former member'}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {earlier > 0 ? (
        <button type="button" className="button small" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? 'Hide earlier versions' : `Show ${plural(earlier, 'earlier version')}`}
        </button>
      ) : null}
    </>
  );
}
