/** Where the strips of the activity are, and how they are drawn: one canvas for all of them. */
import type { StepTable } from '../execution-log/table';
import type { Activity, Lane } from './activity';

export const MARKS_HEIGHT = 18;
export const LANE_HEIGHT = 24;
export const CHART_HEIGHT = 44;

export interface Strip {
  id: string;
  name: string;
  top: number;
  height: number;
}

export const CHARTS = [
  ['open', 'Open steps'],
  ['context', 'Context size'],
  ['tokens', 'Tokens'],
  ['cost', 'Cost'],
] as const;

export type Chart = (typeof CHARTS)[number][0];

export function stripsOf(activity: Activity): { strips: Strip[]; height: number } {
  const strips: Strip[] = [{ id: 'marks', name: 'Errors, waits, retries', top: 0, height: MARKS_HEIGHT }];
  let top = MARKS_HEIGHT;
  const add = (id: string, name: string, height: number) => {
    strips.push({ id, name, top, height });
    top += height;
  };
  for (const [index, lane] of activity.lanes.entries()) add(`lane-${index}`, lane.name, LANE_HEIGHT);
  for (const [id, name] of CHARTS) if (id !== 'cost' || activity.costKnown) add(id, name, CHART_HEIGHT);
  return { strips, height: top };
}

/** The largest value that is known; 0 without one. */
export function peakOf(values: ArrayLike<number>): number {
  let peak = 0;
  for (let x = 0; x < values.length; x++) if ((values[x] as number) > peak) peak = values[x] as number;
  return peak;
}

export interface Colours {
  types: string[];
  error: string;
  running: string;
  waiting: string;
  retry: string;
  soft: string;
  border: string;
  chart: string;
}

export function drawActivity(canvas: HTMLCanvasElement, activity: Activity, table: StepTable, colours: Colours): void {
  const width = activity.open.length;
  const { strips, height } = stripsOf(activity);
  const scale = Math.min(2, window.devicePixelRatio || 1);
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext('2d');
  if (!context) return;
  context.scale(scale, scale);
  for (const strip of strips) {
    context.fillStyle = colours.border;
    context.fillRect(0, strip.top + strip.height - 1, width, 1);
    if (strip.id.startsWith('lane-')) {
      drawLane(context, activity.lanes[Number(strip.id.slice(5))] as Lane, strip, table, colours);
    } else if (strip.id !== 'marks') {
      context.fillStyle = colours.chart;
      drawChart(context, activity[strip.id as Chart], strip, strip.id === 'tokens' || strip.id === 'cost');
    }
  }
  drawMarks(context, activity, height, colours);
}

function drawLane(
  context: CanvasRenderingContext2D,
  lane: Lane,
  strip: Strip,
  table: StepTable,
  colours: Colours,
): void {
  const { rows, busy } = lane;
  context.fillStyle = colours.soft;
  for (let x = 0; x < busy.length; x++) if (busy[x]) context.fillRect(x, strip.top + 4, 1, strip.height - 9);
  for (let x = 0; x < rows.length; ) {
    const row = rows[x] as number;
    let end = x + 1;
    while (end < rows.length && rows[end] === row) end++;
    if (row >= 0) {
      context.fillStyle = colours.types[table.type[row] as number] ?? colours.chart;
      // a gap of one pixel between steps that are wide enough to lose it
      context.fillRect(x, strip.top + 4, end - x > 3 ? end - x - 1 : end - x, strip.height - 9);
    }
    x = end;
  }
}

function drawChart(context: CanvasRenderingContext2D, values: ArrayLike<number>, strip: Strip, line: boolean): void {
  const peak = peakOf(values);
  if (peak === 0) return;
  const room = strip.height - 8;
  for (let x = 0; x < values.length; x++) {
    const value = values[x] as number;
    if (!(value > 0)) continue;
    const tall = Math.max(1.5, (value / peak) * room);
    context.globalAlpha = line ? 0.25 : 0.75;
    context.fillRect(x, strip.top + strip.height - 2 - tall, 1, tall);
    if (!line) continue;
    context.globalAlpha = 1;
    context.fillRect(x, strip.top + strip.height - 2 - tall, 1, 1.5);
  }
  context.globalAlpha = 1;
}

/** Marks are on top, each with a shape of its own, and errors run through all strips. */
function drawMarks(context: CanvasRenderingContext2D, activity: Activity, height: number, colours: Colours): void {
  const middle = MARKS_HEIGHT / 2;
  for (let x = 0; x < activity.errors.length; x++) {
    if ((activity.retries[x] as number) >= 0) {
      context.strokeStyle = colours.retry;
      context.lineWidth = 1.5;
      context.beginPath();
      context.arc(x, middle, 3.5, 0.6, 5.6);
      context.stroke();
    }
    if ((activity.waits[x] as number) >= 0) {
      context.fillStyle = colours.waiting;
      context.fillRect(x - 3, middle - 4, 2.5, 8);
      context.fillRect(x + 1, middle - 4, 2.5, 8);
    }
    if ((activity.errors[x] as number) >= 0) {
      context.fillStyle = colours.error;
      context.globalAlpha = 0.35;
      context.fillRect(x, MARKS_HEIGHT, 1, height - MARKS_HEIGHT);
      context.globalAlpha = 1;
      context.strokeStyle = colours.error;
      context.lineWidth = 1.75;
      context.beginPath();
      context.moveTo(x - 3, middle - 3);
      context.lineTo(x + 3, middle + 3);
      context.moveTo(x + 3, middle - 3);
      context.lineTo(x - 3, middle + 3);
      context.stroke();
    }
  }
}
