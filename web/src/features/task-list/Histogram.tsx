import { useQuery } from '@tanstack/react-query';
import { useRef, useState } from 'react';
import { asApiError } from '../../api/problems';
import type { TaskHistogram } from '../../api/types';
import { usePreference } from '../../app/preferences';
import { navigate, withParams } from '../../app/router';
import { isoOf, Segmented } from '../../ui/controls';
import { cost, count, dateTime, dayAndTime, duration, exact, nusd, plural } from '../../ui/format';
import { histogramQuery } from './explore';
import type { TaskFilter } from './filter';
import { barsOf, brushed, bucketsOf, type Metric } from './histogram';
import './task-chart.css';

const METRICS = [
  { value: 'tasks', label: 'Tasks' },
  { value: 'duration', label: 'p95 duration' },
  { value: 'cost', label: 'Cost' },
] as const;

interface HistogramProps {
  project: string;
  filter: TaskFilter;
  live: boolean;
}

/** Tasks over time above the list; dragging over it selects a range. */
export function Histogram({ project, filter, live }: HistogramProps) {
  const answer = useQuery(histogramQuery(project, filter, live));
  const [chosen, setChosen] = usePreference('task-chart', 'tasks');
  const metric: Metric = METRICS.find(({ value }) => value === chosen)?.value ?? 'tasks';
  const data = answer.data;
  return (
    <section className="task-chart" aria-label="Tasks over time">
      <div className="task-chart-side">
        <Segmented small label="Chart" value={metric} options={METRICS} onChange={setChosen} />
        <p className="faint tnum">{data ? captionOf(data, metric) : ' '}</p>
      </div>
      {data ? (
        <Bars histogram={data} metric={metric} />
      ) : (
        <p className="task-chart-plot faint">
          {answer.error ? `The chart cannot be loaded. ${asApiError(answer.error).message}` : ''}
        </p>
      )}
    </section>
  );
}

function captionOf(histogram: TaskHistogram, metric: Metric): string {
  const back = histogram.counted_back_to_us === null ? '' : `, back to ${dayAndTime(histogram.counted_back_to_us)}`;
  const { most } = barsOf(histogram, metric);
  if (metric === 'tasks')
    return `${exact(histogram.tasks)}${back ? '+' : ''} ${histogram.tasks === 1 ? 'task' : 'tasks'}${back}`;
  return `up to ${metric === 'duration' ? duration(most) : cost(most)}${back}`;
}

function Bars({ histogram, metric }: { histogram: TaskHistogram; metric: Metric }) {
  const plot = useRef<HTMLDivElement>(null);
  const [brush, setBrush] = useState<[number, number] | null>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const { bars } = barsOf(histogram, metric);
  const places = bucketsOf(histogram);
  const shareOf = (event: React.PointerEvent) => {
    const box = plot.current?.getBoundingClientRect();
    return box ? Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) : 0;
  };
  const select = () => {
    if (!brush) return;
    setBrush(null);
    const [from, to] = brushed(histogram, ...brush);
    navigate(withParams({ from: isoOf(from), to: isoOf(to), range: null }));
  };
  const under = pointed === null ? null : Math.min(places - 1, Math.floor(pointed * places));
  const failed = histogram.items.reduce((sum, bucket) => sum + bucket.failed, 0);
  return (
    <div className="task-chart-plot">
      <div
        ref={plot}
        className="task-chart-area"
        role="img"
        aria-label={`${plural(histogram.tasks, 'task')}, ${exact(failed)} failed, from ${dateTime(histogram.from_us)} to ${dateTime(histogram.to_us)}`}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          setBrush([shareOf(event), shareOf(event)]);
        }}
        onPointerMove={(event) => {
          setPointed(shareOf(event));
          if (brush) setBrush([brush[0], shareOf(event)]);
        }}
        onPointerUp={select}
        onPointerCancel={() => setBrush(null)}
        onPointerLeave={() => setPointed(null)}
      >
        <svg viewBox={`0 0 ${places} 100`} preserveAspectRatio="none" aria-hidden="true">
          {bars.map((bar) => {
            const height = Math.max(2, bar.height * 100);
            const red = bar.failed > 0 ? Math.max(2, height * bar.failed) : 0;
            return (
              <g key={bar.place} data-pointed={bar.place === under || undefined}>
                <rect className="bar-all" x={bar.place + 0.08} width={0.84} y={100 - height} height={height} />
                {red > 0 ? (
                  <rect className="bar-failed" x={bar.place + 0.08} width={0.84} y={100 - red} height={red} />
                ) : null}
              </g>
            );
          })}
        </svg>
        {brush ? (
          <i
            className="task-chart-brush"
            style={{ left: `${Math.min(...brush) * 100}%`, width: `${Math.abs(brush[1] - brush[0]) * 100}%` }}
          />
        ) : null}
        {under !== null ? <Tip histogram={histogram} place={under} places={places} /> : null}
      </div>
      <div className="task-chart-axis faint tnum" aria-hidden="true">
        <span>{dayAndTime(histogram.from_us)}</span>
        <span>{dayAndTime(histogram.to_us)}</span>
      </div>
    </div>
  );
}

function Tip({ histogram, place, places }: { histogram: TaskHistogram; place: number; places: number }) {
  const startUs = histogram.from_us + place * histogram.bucket_us;
  const bucket = histogram.items.find((item) => item.start_us === startUs);
  const share = (place + 0.5) / places;
  return (
    <div className={share > 0.5 ? 'task-chart-tip flip' : 'task-chart-tip'} style={{ left: `${share * 100}%` }}>
      <strong>{dateTime(startUs)}</strong>
      {bucket ? (
        <>
          <span>
            {plural(bucket.tasks, 'task')}
            {bucket.failed > 0 ? `, ${exact(bucket.failed)} failed` : ''}
          </span>
          {bucket.p95_duration_us !== null ? <span>p95 {duration(bucket.p95_duration_us)}</span> : null}
          <span>
            {[`${count(bucket.input_tokens + bucket.output_tokens)} tokens`, cost(nusd(bucket.cost_usd))]
              .filter(Boolean)
              .join(', ')}
          </span>
        </>
      ) : (
        <span>No tasks</span>
      )}
    </div>
  );
}
