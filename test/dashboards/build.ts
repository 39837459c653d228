/** From the specifications to the JSON that Grafana loads. */
/* eslint-disable @typescript-eslint/no-deprecated -- every Grafana reads the classic form from files, not all read its successor */
import {
  BigValueGraphMode,
  BigValueTextMode,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  SortOrder,
  TooltipDisplayMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common';
import {
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  VariableRefresh,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TimeseriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';
import type { DashboardSpec, PanelSpec, RowSpec, StatSpec } from './spec.ts';

const datasource = { type: 'prometheus', uid: '$datasource' };
const tag = 'wshub';
/** Of Grafana 10.4; later ones bring it up to their own, earlier ones know all that is in it. */
const schemaVersion = 39;

/** Where the next panel goes; a row of panels is 24 wide. */
class Layout {
  #lastId = 0;
  #x = 0;
  #y = 0;
  #rowHeight = 0;

  nextId(): number {
    return ++this.#lastId;
  }

  /** Begins a new line. */
  line(): number {
    this.#y += this.#rowHeight;
    this.#x = 0;
    this.#rowHeight = 0;
    return this.#y;
  }

  place(w: number, h: number): { x: number; y: number; w: number; h: number } {
    if (this.#x + w > 24) this.line();
    const position = { x: this.#x, y: this.#y, w, h };
    this.#x += w;
    this.#rowHeight = Math.max(this.#rowHeight, h);
    return position;
  }
}

/** The dashboard as the text of its file. */
export function dashboardJson(spec: DashboardSpec): string {
  const layout = new Layout();
  const builder = new DashboardBuilder(spec.title)
    .uid(spec.uid)
    .description(spec.description)
    .tags([tag])
    .time({ from: 'now-1h', to: 'now' })
    .timezone('browser')
    .refresh('30s')
    .tooltip(DashboardCursorSync.Crosshair)
    .readonly()
    .link(
      new DashboardLinkBuilder('wshub')
        .type(DashboardLinkType.Dashboards)
        .tags([tag])
        .asDropdown(false)
        .includeVars(true)
        .keepTime(true),
    )
    .withVariable(new DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'))
    .withVariable(choice('job', 'label_values(wshub_build_info, job)'))
    .withVariable(choice('instance', 'label_values(wshub_build_info{job=~"$job"}, instance)'));
  for (const [index, row] of spec.rows.entries()) addRow(builder, row, index > 0, layout);
  const dashboard = { ...builder.build(), schemaVersion };
  // The builder would hide the links to the other dashboards in a menu.
  const links = (dashboard.links ?? []).map((link) => ({ ...link, placement: undefined }));
  return `${JSON.stringify({ ...dashboard, links }, null, 2)}\n`;
}

/** The first row stands open; what is below it is opened by who wants to know more. */
function addRow(
  builder: DashboardBuilder,
  { title, panels }: RowSpec,
  collapsed: boolean,
  layout: Layout,
): void {
  layout.line();
  const row = new RowBuilder(title).id(layout.nextId()).gridPos(layout.place(24, 1));
  layout.line();
  const built = panels.map((panel) => panelOf(panel, layout));
  if (collapsed) {
    row.collapsed(true);
    for (const panel of built) row.withPanel(panel);
  }
  builder.withRow(row);
  if (!collapsed) for (const panel of built) builder.withPanel(panel);
}

function panelOf(spec: PanelSpec, layout: Layout): StatBuilder | TimeseriesBuilder {
  const builder = spec.stat ? stat(spec.stat) : lines();
  builder
    .id(layout.nextId())
    .title(spec.title)
    .description(spec.description)
    .unit(spec.unit)
    .datasource(datasource)
    .gridPos(spec.stat ? layout.place(6, 5) : layout.place(12, 8));
  for (const [index, { expr, legend }] of spec.queries.entries()) {
    const query = new DataqueryBuilder()
      .refId(String.fromCharCode('A'.charCodeAt(0) + index))
      .expr(expr)
      .legendFormat(legend)
      .datasource(datasource);
    // Over a range, a hub that is gone would show its last number as if it lived.
    builder.withTarget(spec.stat ? query.instant() : query.range());
  }
  return builder;
}

function stat({ redFrom, redBelow, nameOnly }: StatSpec): StatBuilder {
  // Without thresholds Grafana shows everything above 80 in red.
  const steps = [{ value: null, color: redBelow === undefined ? 'green' : 'red' }];
  const border = redFrom ?? redBelow;
  const above = { value: border ?? 0, color: redBelow === undefined ? 'red' : 'green' };
  const thresholds = new ThresholdsConfigBuilder()
    .mode(ThresholdsMode.Absolute)
    .steps(border === undefined ? steps : [...steps, above]);
  return new StatBuilder()
    .graphMode(BigValueGraphMode.None)
    .textMode(nameOnly ? BigValueTextMode.Name : BigValueTextMode.Auto)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']))
    .thresholds(thresholds);
}

function lines(): TimeseriesBuilder {
  const legend = new VizLegendOptionsBuilder()
    .showLegend(true)
    .displayMode(LegendDisplayMode.List)
    .placement(LegendPlacement.Bottom);
  const tooltip = new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending);
  return new TimeseriesBuilder().fillOpacity(5).min(0).legend(legend).tooltip(tooltip);
}

/** A variable whose values Prometheus knows; all of them at first. */
function choice(name: string, query: string): QueryVariableBuilder {
  return new QueryVariableBuilder(name)
    .datasource(datasource)
    .query({ query, refId: name })
    .definition(query)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .multi(true)
    .includeAll(true)
    .allValue('.+')
    .current({ text: 'All', value: '$__all' });
}
