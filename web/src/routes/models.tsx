import { useQuery as useServer } from '@tanstack/react-query';
import { useEffect, useMemo } from 'react';
import { asApiError } from '../api/problems';
import { pricesQuery } from '../api/queries';
import type { ListPrice, StatisticsGroup } from '../api/types';
import { Link, navigate, useQuery, withParams } from '../app/router';
import { modelRows, priceText, priceTitle } from '../features/statistics/models';
import { RANGES, startOf, statisticsQuery } from '../features/statistics/statistics';
import '../features/statistics/statistics.css';
import { serverNowUs } from '../ui/clock';
import { ErrorStrip, Segmented } from '../ui/controls';
import { cost, count, exact, exactCost, nusd } from '../ui/format';
import { Icon } from '../ui/Icon';

/** `/projects/{project}/models`: the models that the project used, with what they cost and their list prices. */
export function ModelsPage({ project }: { project: string }) {
  const query = useQuery();
  const range = RANGES.find(({ value }) => value === query.get('range')) ?? RANGES[1];
  const from = useMemo(() => startOf(range.hours, serverNowUs() / 1_000), [range.hours]);
  const used = useServer(statisticsQuery(project, 'model', from, {}));
  const names = modelRows(used.data?.items ?? []).map(({ key }) => key);
  const prices = useServer({ ...pricesQuery(project, names), enabled: names.length > 0 });
  const priceOf = new Map(prices.data?.items.map((price) => [price.model, price]));
  const error = used.error ?? prices.error;
  useEffect(() => {
    document.title = 'Models · AMS';
  }, []);
  const rows = modelRows(used.data?.items ?? []);
  return (
    <div className="page statistics-page">
      <div className="page-inner">
        <div className="statistics-head">
          <h1>Models and prices</h1>
          <Segmented
            small
            label="Time range"
            value={range.value}
            options={RANGES}
            onChange={(value) => navigate(withParams({ range: value }))}
          />
        </div>
        <p className="quiet">
          Prices are list prices in US dollars for a million tokens, as a call that starts now is billed. A cost that an
          agent or gateway reports counts instead.
        </p>
        {error ? (
          <ErrorStrip
            error={asApiError(error)}
            doing="Cannot load the models"
            onRetry={() => {
              void used.refetch();
              void prices.refetch();
            }}
          />
        ) : null}
        {used.isFetching && !used.data ? <div className="loading-bar" /> : null}
        {used.data && rows.length === 0 ? (
          <p className="quiet">No model calls in this time. Models appear with the first call that names one.</p>
        ) : null}
        {rows.length > 0 ? (
          <div className="group-table">
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">Model</th>
                  <th scope="col" className="num">
                    Calls
                  </th>
                  <th scope="col" className="num">
                    Tokens in
                  </th>
                  <th scope="col" className="num">
                    Tokens out
                  </th>
                  <th scope="col" className="num">
                    Cost
                  </th>
                  <th scope="col" className="num">
                    Price in
                  </th>
                  <th scope="col" className="num">
                    Price cached
                  </th>
                  <th scope="col" className="num">
                    Price out
                  </th>
                </tr>
              </thead>
              <tbody>
                {rows.map((row) => (
                  <ModelLine key={row.key} project={project} group={row} price={priceOf.get(row.key) ?? null} />
                ))}
              </tbody>
            </table>
          </div>
        ) : null}
        {prices.data ? <p className="faint">Catalog: {prices.data.version}</p> : null}
        {used.data?.truncated || rows.length > 100 ? (
          <p className="faint">Prices are shown for the first 100 models.</p>
        ) : null}
      </div>
    </div>
  );
}

interface ModelLineProps {
  project: string;
  group: StatisticsGroup;
  price: ListPrice | null;
}

function ModelLine({ project, group, price }: ModelLineProps) {
  const nano = nusd(group.cost_usd);
  const unpriced = group.steps - group.priced_steps;
  return (
    <tr>
      <td>
        <Link to={`/projects/${project}/statistics?${new URLSearchParams({ by: 'model', only: group.key })}`}>
          {group.key}
        </Link>
        {price?.known === false && group.priced_steps === 0 ? (
          <span className="chip" style={{ marginLeft: 8 }} title="The catalog has no price for this model">
            <Icon name="status-error" /> no list price
          </span>
        ) : null}
      </td>
      <td className="num">{exact(group.steps)}</td>
      <td className="num">{count(group.input_tokens)}</td>
      <td className="num">{count(group.output_tokens)}</td>
      <td
        className="num"
        title={
          nano === null
            ? 'Unknown'
            : `${exactCost(nano)}${unpriced > 0 ? `, without ${exact(unpriced)} calls of unknown cost` : ''}`
        }
      >
        {nano === null ? <span className="faint">unknown</span> : `${unpriced > 0 ? '≥ ' : ''}${cost(nano)}`}
      </td>
      {(['input', 'cache_read', 'output'] as const).map((part) => (
        <td key={part} className="num" title={priceTitle(price, part)}>
          {priceText(price, part)}
        </td>
      ))}
    </tr>
  );
}
