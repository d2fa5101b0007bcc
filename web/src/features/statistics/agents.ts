/** What the page of agents shows of one: its entry, its runs, its steps and the tasks that run now. */
import type { Agent, StatisticsGroup } from '../../api/types';

export interface AgentRow {
  agent: Agent;
  /** its own steps: each is a run of the agent */
  runs: StatisticsGroup | null;
  /** all steps that belong to it */
  steps: StatisticsGroup | null;
  running: number;
}

export function rowsOf(
  agents: readonly Agent[],
  runs: readonly StatisticsGroup[],
  steps: readonly StatisticsGroup[],
  running: ReadonlyMap<string, number>,
): AgentRow[] {
  const runsOf = new Map(runs.map((group) => [group.key, group]));
  const stepsOf = new Map(steps.map((group) => [group.key, group]));
  return agents.map((agent) => ({
    agent,
    runs: runsOf.get(agent.name) ?? null,
    steps: stepsOf.get(agent.name) ?? null,
    running: running.get(agent.name) ?? 0,
  }));
}

/** The share of an agent's runs that ended without an error; of its steps where it has no runs of its own. Null: nothing ended. */
export function successRate({ runs, steps }: AgentRow): number | null {
  const counted = runs ?? steps;
  return counted === null || counted.steps === 0 ? null : 1 - counted.errors / counted.steps;
}
