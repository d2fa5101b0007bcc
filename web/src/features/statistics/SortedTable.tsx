import { type ReactNode, useState } from 'react';
import { Icon } from '../../ui/Icon';
import { type Column, sorted } from './sorted';

interface SortedTableProps<Row> {
  title: string;
  rows: readonly Row[];
  columns: readonly Column<Row>[];
  keyOf: (row: Row) => string;
  isChosen: (row: Row) => boolean;
  /** rows that stay at the end, whatever the order */
  isRest?: (row: Row) => boolean;
  nameOf: (row: Row) => string;
  /** the first cell and the last one */
  head: (row: Row) => ReactNode;
  tail: (row: Row) => ReactNode;
}

/** Groups with their figures, in the order of any column. */
export function SortedTable<Row>({
  title,
  rows,
  columns,
  keyOf,
  isChosen,
  head,
  tail,
  ...props
}: SortedTableProps<Row>) {
  const [order, setOrder] = useState({ column: columns[0]?.name ?? '', descending: true });
  const all: Column<Row>[] = [{ name: title, value: props.nameOf, text: props.nameOf }, ...columns];
  const column = all.find(({ name }) => name === order.column) ?? all[0];
  const shown = column ? sorted(rows, column, order.descending, props.isRest) : rows;
  return (
    <div className="group-table">
      <table className="table">
        <thead>
          <tr>
            {all.map(({ name }, index) => (
              <th
                key={name}
                scope="col"
                className={index === 0 ? undefined : 'num'}
                aria-sort={name === order.column ? (order.descending ? 'descending' : 'ascending') : undefined}
              >
                <button
                  type="button"
                  className="group-sort"
                  // names begin with A, figures with the largest
                  onClick={() =>
                    setOrder({ column: name, descending: name === order.column ? !order.descending : index > 0 })
                  }
                >
                  {name}
                  {name === order.column ? <Icon name={order.descending ? 'down' : 'up'} /> : null}
                </button>
              </th>
            ))}
            <th scope="col">
              <span className="visually-hidden">Tasks</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {shown.map((row) => (
            <tr key={keyOf(row)} data-chosen={isChosen(row) || undefined}>
              <td>{head(row)}</td>
              {columns.map(({ name, text, isBad }) => (
                <td key={name} className={isBad ? 'num group-errors' : 'num'}>
                  {text(row)}
                </td>
              ))}
              <td>{tail(row)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
