/** Writes dashboards/*.json: `npm run dashboards`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dashboardJson } from './build.ts';
import { dashboards } from './dashboards.ts';

const folder = new URL('../', import.meta.url);

mkdirSync(folder, { recursive: true });
for (const spec of dashboards) writeFileSync(new URL(`${spec.uid}.json`, folder), dashboardJson(spec));
