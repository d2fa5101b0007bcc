/** The activity of a task, off the page's thread. */
import type { Columns } from '../execution-log/columns';
import { activityOf, type Range } from './activity';

export interface ActivityRequest extends Range {
  columns: Columns;
}

self.onmessage = ({ data: { columns, ...range } }: MessageEvent<ActivityRequest>) =>
  self.postMessage(activityOf(columns, range));
