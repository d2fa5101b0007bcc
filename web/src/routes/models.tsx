import { useQuery as useServer } from '@tanstack/react-query';
import { useEffect, useMemo, useState } from 'react';
import { membersQuery } from '../api/people';
import { asApiError } from '../api/problems';
import { pricesQuery, projectsQuery, queryClient } from '../api/queries';
import type { ListPrice, OwnPrice, StatisticsGroup } from '../api/types';
import { Link, navigate, useQuery, withParams } from '../app/router';
import { OwnPricesTable } from '../features/prices/OwnPricesTable';
import { PriceDialog } from '../features/prices/PriceDialog';
import { formOf, ownPricesQuery, type PriceForm } from '../features/prices/prices';
import '../features/prices/prices.css';
import {
  isUnknown,
  modelRows,
  type PricePart,
  priceText,
  priceTitle,
  unknownSentence,
  usdText,
} from '../features/statistics/models';
import { RANGES, startOf, statisticsQuery } from '../features/statistics/statistics';
import '../features/statistics/statistics.css';
import { serverNowUs } from '../ui/clock';
import { ErrorStrip, Segmented } from '../ui/controls';
import { cost, count, exact, exactCost, nusd } from '../ui/format';
import { Icon } from '../ui/Icon';

/** `/projects/{project}/models`: the models that the project used, with what they cost, their list prices and the project's own prices. */
export function ModelsPage({ project }: { project: string }) {
  const query = useQuery();
  const range = RANGES.find(({ value }) => value === query.get('range')) ?? RANGES[1];
  const from = useMemo(() => startOf(range.hours, serverNowUs() / 1_000), [range.hours]);
  const used = useServer(statisticsQuery(project, 'model', from, {}));
  const rows = modelRows(used.data?.items ?? []);
  const names = rows.map(({ key }) => key);
  const prices = useServer({ ...pricesQuery(project, names), enabled: names.length > 0 });
  const own = useServer(ownPricesQuery(project));
  const members = useServer(membersQuery(project));
  const role = useServer(projectsQuery).data?.items.find((item) => item.project_id === project)?.role;
  const [edited, setEdited] = useState<{ initial: PriceForm; current: OwnPrice | null } | null>(null);
  const priceOf = new Map(prices.data?.items.map((price) => [price.model, price]));
  const error = used.error ?? prices.error ?? own.error;
  useEffect(() => {
    document.title = 'Models · AMS';
  }, []);
  const edit = (model: string) => {
    const price = priceOf.get(model) ?? null;
    const current = own.data?.items.find(
      (item) =>
        item.state === 'current' &&
        item.model === price?.own?.model &&
        item.provider === (price.own.provider ?? null) &&
        item.usd_per_million !== null,
    );
    setEdited({
      initial: formOf(current?.model ?? model, current?.provider ?? null, current ?? price?.own ?? price),
      current: current ?? null,
    });
  };
  const refresh = () => {
    void queryClient.invalidateQueries({ queryKey: ['own-prices', project] });
    void queryClient.invalidateQueries({ queryKey: ['prices', project] });
  };
  const unknown = unknownSentence(rows);
  const mayTry = role === 'owner' || role === 'member';
  return (
    <div className="page statistics-page">
      <div className="page-inner">
        <div className="statistics-head">
          <h1>Models and prices</h1>
          {mayTry ? (
            <button
              type="button"
              className="button"
              onClick={() => setEdited({ initial: formOf('', null, null), current: null })}
            >
              {role === 'owner' ? 'Set a price' : 'Try a price'}
            </button>
          ) : null}
          <Segmented
            small
            label="Time range"
            value={range.value}
            options={RANGES}
            onChange={(value) => navigate(withParams({ range: value }))}
          />
        </div>
        <p className="quiet">
          Prices are in US dollars for a million tokens, as a call that starts now is billed: the project's own price,
          else the list price. A cost that an agent or gateway reports counts instead.
        </p>
        {error ? (
          <ErrorStrip
            error={asApiError(error)}
            doing="Cannot load the models"
            onRetry={() => {
              for (const one of [used, prices, own]) void one.refetch();
            }}
          />
        ) : null}
        {used.isFetching && !used.data ? <div className="loading-bar" /> : null}
        {unknown ? (
          <p className="price-unknown">
            <Icon name="status-error" /> {unknown}
          </p>
        ) : null}
        {used.data && rows.length === 0 ? (
          <p className="quiet">No model calls in this time. Models appear with the first call that names one.</p>
        ) : null}
        {rows.length > 0 ? (
          <div className="group-table">
            <table className="table stacked flowing">
              <thead>
                <tr>
                  <th scope="col">Model</th>
                  {['Calls', 'Tokens in', 'Tokens out', 'Cost', 'Price in', 'Price cached', 'Price out'].map(
                    (title) => (
                      <th key={title} scope="col" className="num">
                        {title}
                      </th>
                    ),
                  )}
                  {mayTry ? (
                    <th scope="col">
                      <span className="visually-hidden">Own price</span>
                    </th>
                  ) : null}
                </tr>
              </thead>
              <tbody>
                {rows.map((row) => (
                  <ModelLine
                    key={row.key}
                    project={project}
                    group={row}
                    price={priceOf.get(row.key) ?? null}
                    onEdit={mayTry ? () => edit(row.key) : null}
                  />
                ))}
              </tbody>
            </table>
          </div>
        ) : null}
        {prices.data ? <p className="faint">Catalog: {prices.data.version}</p> : null}
        {used.data?.truncated || rows.length > 100 ? (
          <p className="faint">Prices are shown for the first 100 models.</p>
        ) : null}
        {own.data && own.data.items.length > 0 ? (
          <section className="settings-section">
            <h2>Own prices</h2>
            <OwnPricesTable prices={own.data.items} members={members.data?.items ?? []} />
          </section>
        ) : null}
      </div>
      {edited ? (
        <PriceDialog
          project={project}
          initial={edited.initial}
          current={edited.current}
          owner={role === 'owner'}
          onSet={refresh}
          onClose={() => setEdited(null)}
        />
      ) : null}
    </div>
  );
}

interface ModelLineProps {
  project: string;
  group: StatisticsGroup;
  price: ListPrice | null;
  /** null when the person may not try prices */
  onEdit: (() => void) | null;
}

function ModelLine({ project, group, price, onEdit }: ModelLineProps) {
  const nano = nusd(group.cost_usd);
  const unpriced = group.steps - group.priced_steps;
  return (
    <tr>
      <td>
        <Link to={`/projects/${project}/statistics?${new URLSearchParams({ by: 'model', only: group.key })}`}>
          {group.key}
        </Link>
        {isUnknown(group) && price?.known === false && !price.own ? (
          <span
            className="chip"
            style={{ marginLeft: 8 }}
            title="The catalog has no price for this model, and the project has set none"
          >
            <Icon name="status-error" /> no price
          </span>
        ) : null}
      </td>
      <td className="num" data-label="Calls">
        {exact(group.steps)}
      </td>
      <td className="num" data-label="Tokens in">
        {count(group.input_tokens)}
      </td>
      <td className="num" data-label="Tokens out">
        {count(group.output_tokens)}
      </td>
      <td
        className="num"
        data-label="Cost"
        title={
          nano === null
            ? 'Unknown'
            : `${exactCost(nano)}${unpriced > 0 ? `, without ${exact(unpriced)} calls of unknown cost` : ''}`
        }
      >
        {nano === null ? <span className="faint">unknown</span> : `${unpriced > 0 ? '≥ ' : ''}${cost(nano)}`}
      </td>
      {(['input', 'cache_read', 'output'] as const).map((part) => (
        <PriceCell key={part} price={price} part={part} />
      ))}
      {onEdit ? (
        <td className="num">
          <button
            type="button"
            className="button small plain"
            aria-label={`${price?.own ? 'Change' : 'Set price'}: own price of ${group.key}`}
            disabled={price === null}
            onClick={onEdit}
          >
            {price?.own ? 'Change' : 'Set price'}
          </button>
        </td>
      ) : null}
    </tr>
  );
}

const PART_LABELS: Record<string, string> = { input: 'Price in', cache_read: 'Price cached', output: 'Price out' };

/** The own price, with the list price below it; else the list price. */
function PriceCell({ price, part }: { price: ListPrice | null; part: PricePart }) {
  const list = priceText(price, part);
  if (!price?.own) {
    return (
      <td className="num" data-label={PART_LABELS[part]} title={priceTitle(price, part)}>
        {list}
      </td>
    );
  }
  const usd = price.own.usd_per_million[part];
  const name = price.own.model + (price.own.provider ? ` of ${price.own.provider}` : '');
  return (
    <td
      className="num"
      data-label={PART_LABELS[part]}
      title={usd === undefined ? 'Billed like what it is part of' : `The project's own price of ${name}`}
    >
      <span className="price-own">{usdText(usd)}</span>
      {list ? <span className="faint price-was">list {list}</span> : null}
    </td>
  );
}
