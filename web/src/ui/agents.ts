/** A browser or program and its system, from a `User-Agent`; its first words when neither is known. */
export function programOf(agent: string | null): string {
  if (!agent) return 'Unknown program';
  const known = [
    ['Edg/', 'Edge'],
    ['OPR/', 'Opera'],
    ['Firefox/', 'Firefox'],
    ['Chrome/', 'Chrome'],
    ['Safari/', 'Safari'],
  ].find(([mark]) => agent.includes(mark ?? ''));
  const system = [
    ['Android', 'Android'],
    ['iPhone', 'iPhone'],
    ['iPad', 'iPad'],
    ['Windows', 'Windows'],
    ['Mac OS', 'macOS'],
    ['Linux', 'Linux'],
  ].find(([mark]) => agent.includes(mark ?? ''));
  if (!known) return agent.slice(0, 60);
  return system ? `${known[1]} on ${system[1]}` : (known[1] ?? '');
}
