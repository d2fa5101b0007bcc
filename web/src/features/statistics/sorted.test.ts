import { expect, test } from 'vitest';
import { type Column, sorted } from './sorted';

interface Row {
  name: string;
  cost: number | null;
}

const rows: Row[] = [
  { name: 'user 10', cost: 2 },
  { name: 'other', cost: 9 },
  { name: 'user 2', cost: null },
  { name: 'Ada', cost: 5 },
];
const column = (value: Column<Row>['value']): Column<Row> => ({ name: 'c', value, text: ({ name }) => name });
const namesOf = (list: Row[]) => list.map(({ name }) => name);
const isRest = ({ name }: Row) => name === 'other';

test('what is not known comes last in both directions, the rest of all after it', () => {
  const cost = column((row) => row.cost);

  expect(namesOf(sorted(rows, cost, true, isRest))).toEqual(['Ada', 'user 10', 'user 2', 'other']);
  expect(namesOf(sorted(rows, cost, false, isRest))).toEqual(['user 10', 'Ada', 'user 2', 'other']);
});

test('names are in the order of people, with numbers as numbers', () => {
  const name = column((row) => row.name);

  expect(namesOf(sorted(rows, name, false, isRest))).toEqual(['Ada', 'user 2', 'user 10', 'other']);
  expect(namesOf(sorted(rows, name, true))).toEqual(['user 10', 'user 2', 'other', 'Ada']);
});
