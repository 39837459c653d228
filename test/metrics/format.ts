/**
 * Whether a text keeps the rules of Prometheus' text format or of OpenMetrics 1.0, as far as the hub can break them:
 * families whole and described once, names by kind, no series twice, histograms that add up, the end.
 */

const suffixes: Readonly<Record<string, readonly string[]>> = {
  gauge: [''],
  histogram: ['_bucket', '_sum', '_count'],
};
const series = /^([a-z_:][a-z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)$/i;

/** Returns the faults, in sentences. */
export function faultsOfText(text: string, format: 'text' | 'openmetrics'): string[] {
  const openMetrics = format === 'openmetrics';
  const faults: string[] = [];
  const described = new Map<string, { help: boolean; type: string }>();
  const seen = new Set<string>();
  const histograms = new Map<
    string,
    { last: number; infinite: number | undefined; count: number | undefined }
  >();
  const lines = text.split('\n');
  if (lines.pop() !== '') faults.push('the last line does not end');
  if (openMetrics && lines.pop() !== '# EOF') faults.push('it does not end with # EOF');
  let family = '';
  for (const line of lines) {
    const [, word, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (word === 'HELP') {
      if (described.has(name)) faults.push(`${name} comes twice`);
      described.set((family = name), { help: true, type: '' });
    } else if (word === 'TYPE') {
      if (name !== family || described.get(name)?.type !== '') faults.push(`TYPE of ${name} is out of place`);
      described.set(name, { help: true, type: rest });
      if (rest === 'counter' && name.endsWith('_total') === openMetrics)
        faults.push(`${name} is no counter's name`);
    } else if (line !== '' || openMetrics) {
      sample(line);
    }
  }
  for (const [key, { infinite, count }] of histograms) {
    if (infinite === undefined || infinite !== count)
      faults.push(`${key} has +Inf ${infinite}, count ${count}`);
  }
  return faults;

  function sample(line: string): void {
    const [, name = '', labels = '', value = ''] = series.exec(line) ?? [];
    if (name === '') {
      faults.push(`no sample: ${line}`);
      return;
    }
    const type = described.get(family)?.type ?? '';
    const allowed = type === 'counter' ? [openMetrics ? '_total' : ''] : (suffixes[type] ?? []);
    if (!allowed.some((suffix) => name === family + suffix)) faults.push(`${name} in the family ${family}`);
    if (!/^-?\d+(\.\d+)?(e[+-]?\d+)?$/.test(value)) faults.push(`the value of ${line}`);
    if (type !== 'gauge' && Number(value) < 0) faults.push(`less than nothing: ${line}`);
    if (seen.has(`${name}{${labels}}`)) faults.push(`twice: ${line}`);
    seen.add(`${name}{${labels}}`);
    if (type === 'histogram') part(name, labels, Number(value));
  }

  function part(name: string, labels: string, value: number): void {
    const key = `${family}{${labels.replace(/le="[^"]*",?/, '').replace(/,$/, '')}}`;
    const histogram = histograms.get(key) ?? { last: 0, infinite: undefined, count: undefined };
    histograms.set(key, histogram);
    if (name.endsWith('_count')) histogram.count = value;
    if (!name.endsWith('_bucket')) return;
    if (value < histogram.last) faults.push(`${key} has fewer in a wider bucket`);
    histogram.last = value;
    if (labels.includes('le="+Inf"')) histogram.infinite = value;
  }
}
