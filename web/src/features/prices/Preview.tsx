import type { PricePreview } from '../../api/types';
import { cost, day, exact, nusd } from '../../ui/format';
import { previewFacts, unknownCalls } from './prices';

const ROWS_MAX = 200;

/** What a price would change of stored costs, by day and model. */
export function Preview({ preview, days }: { preview: PricePreview; days: number }) {
  const facts = previewFacts(preview);
  const unknown = unknownCalls(preview);
  return (
    <div className="price-preview" role="status">
      {facts.length === 0 ? (
        <p>
          {preview.complete ? 'No stored calls of this time' : 'None of the calls compared'} would be billed by this
          price.
        </p>
      ) : (
        <dl className="price-totals">
          {facts.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd className="tnum">{value}</dd>
            </div>
          ))}
        </dl>
      )}
      {unknown ? <p>{unknown}</p> : null}
      {preview.items.length > 0 ? (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keys must reach it
        <section className="price-preview-rows" aria-label="Changes by day and model" tabIndex={0}>
          <table className="table">
            <thead>
              <tr>
                <th scope="col">Day</th>
                <th scope="col">Model</th>
                <th scope="col" className="num">
                  Calls
                </th>
                <th scope="col" className="num">
                  Now
                </th>
                <th scope="col" className="num">
                  With this price
                </th>
              </tr>
            </thead>
            <tbody>
              {preview.items.slice(0, ROWS_MAX).map((item) => (
                <tr key={`${item.day_us} ${item.provider} ${item.model}`}>
                  <td>{day(item.day_us)}</td>
                  <td className="price-model">{item.model || 'none'}</td>
                  <td className="num">{exact(item.calls)}</td>
                  <td className="num">
                    {item.unknown_before === item.calls ? 'unknown' : cost(nusd(item.before_usd))}
                  </td>
                  <td className="num">{item.unknown_after === item.calls ? 'unknown' : cost(nusd(item.after_usd))}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      ) : null}
      {preview.items.length > ROWS_MAX ? (
        <p className="faint">The first {ROWS_MAX} changes are shown; the sums have all of them.</p>
      ) : null}
      <p className="faint">
        {preview.complete
          ? `All calls of the last ${days} days were compared.`
          : preview.from_us === null
            ? 'There are too many calls to compare them all: a part of the newest day was.'
            : `There are too many calls to compare them all: those since ${day(preview.from_us)} were.`}{' '}
        Costs that an agent or gateway reported stay.
      </p>
    </div>
  );
}
