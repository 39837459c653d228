/** The runbook's section for an alert, as the alert itself names it: one home for the address. */
import { readRules } from '../../test/metrics/promql.ts';

const alerts = readRules(new URL('../../deploy/prometheus/wshub.alerts.yml', import.meta.url));

export function runbookUrl(alert: string): string {
  const text = alerts.find(({ name }) => name === alert)?.text;
  const url = /runbook_url: '([^']+)'/.exec(text ?? '')?.[1];
  if (url === undefined) throw new Error(`no alert ${alert} with a runbook_url`);
  return url;
}
