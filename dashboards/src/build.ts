/** Builds the JSON that Grafana loads from the specifications. */
/* eslint-disable @typescript-eslint/no-deprecated -- every Grafana reads the classic form from files, not all read its successor */
import {
  BigValueGraphMode,
  BigValueTextMode,
  GraphThresholdsStyleConfigBuilder,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  SortOrder,
  TooltipDisplayMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common';
import {
  AnnotationQueryBuilder,
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
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import {
  HeatmapColorMode,
  HeatmapColorOptionsBuilder,
  PanelBuilder as HeatmapBuilder,
  YAxisConfigBuilder,
} from '@grafana/grafana-foundation-sdk/heatmap';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TimeseriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';
import { annotations } from './dashboards.ts';
import { runbookUrl } from './runbook-url.ts';
import type { DashboardSpec, PanelSpec, RowSpec, StatSpec } from './spec.ts';

const datasource = { type: 'prometheus', uid: '$datasource' };
const tag = 'wshub';
/** Of Grafana 10.4; later ones bring it up to their own, earlier ones know all that is in it. */
const schemaVersion = 39;

/** Position of the next panel; a line of panels is 24 units wide. */
class Layout {
  #lastId = 0;
  #x = 0;
  #y = 0;
  #rowHeight = 0;

  nextId(): number {
    return ++this.#lastId;
  }

  /** Starts a new line. */
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
  for (const { name, expr, text, color } of annotations) {
    builder.annotation(
      new AnnotationQueryBuilder()
        .name(name)
        .datasource(datasource)
        .enable(true)
        .iconColor(color)
        .expr(expr)
        .step('15s')
        .titleFormat(name)
        .textFormat(text),
    );
  }
  for (const row of spec.rows) addRow(builder, row, layout);
  const dashboard = { ...builder.build(), schemaVersion };
  // The builder would hide the links to the other dashboards in a menu.
  const links = (dashboard.links ?? []).map((link) => ({ ...link, placement: undefined }));
  return `${JSON.stringify({ ...dashboard, links }, null, 2)}\n`;
}

/** Every row is open: a collapsed one hides a fault. */
function addRow(builder: DashboardBuilder, { title, panels }: RowSpec, layout: Layout): void {
  layout.line();
  builder.withRow(new RowBuilder(title).id(layout.nextId()).gridPos(layout.place(24, 1)));
  layout.line();
  for (const panel of panels) builder.withPanel(panelOf(panel, layout));
}

function panelOf(spec: PanelSpec, layout: Layout): StatBuilder | TimeseriesBuilder | HeatmapBuilder {
  const builder = spec.stat ? stat(spec.stat) : spec.heatmap ? heatmap() : lines(spec);
  builder
    .id(layout.nextId())
    .title(spec.title)
    .description(spec.description)
    .unit(spec.unit)
    .datasource(datasource)
    .gridPos(spec.stat ? layout.place(6, 5) : layout.place(12, 8));
  if (spec.runbook !== undefined) {
    builder.links([
      new DashboardLinkBuilder(`Runbook: ${spec.runbook}`)
        .type(DashboardLinkType.Link)
        .url(runbookUrl(spec.runbook))
        .targetBlank(true),
    ]);
  }
  for (const [index, { expr, legend }] of spec.queries.entries()) {
    const query = new DataqueryBuilder()
      .refId(String.fromCharCode('A'.charCodeAt(0) + index))
      .expr(expr)
      .legendFormat(legend)
      .datasource(datasource);
    if (spec.heatmap) query.format(PromQueryFormat.Heatmap);
    // Over a range, a hub that is gone would show its last value; sparklines leave such hubs out by their query.
    builder.withTarget(spec.stat && !spec.stat.sparkline ? query.instant() : query.range());
  }
  return builder;
}

function stat({ redFrom, redBelow, nameOnly, sparkline }: StatSpec): StatBuilder {
  // Without thresholds Grafana shows everything above 80 in red.
  const steps = [{ value: null, color: redBelow === undefined ? 'green' : 'red' }];
  const border = redFrom ?? redBelow;
  const above = { value: border ?? 0, color: redBelow === undefined ? 'red' : 'green' };
  const thresholds = new ThresholdsConfigBuilder()
    .mode(ThresholdsMode.Absolute)
    .steps(border === undefined ? steps : [...steps, above]);
  return new StatBuilder()
    .graphMode(sparkline ? BigValueGraphMode.Area : BigValueGraphMode.None)
    .textMode(nameOnly ? BigValueTextMode.Name : BigValueTextMode.Auto)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']))
    .thresholds(thresholds);
}

function heatmap(): HeatmapBuilder {
  return new HeatmapBuilder()
    .yAxis(new YAxisConfigBuilder().unit('s'))
    .color(new HeatmapColorOptionsBuilder().mode(HeatmapColorMode.Scheme).scheme('Spectral').steps(64));
}

function lines({ limits, queries }: PanelSpec): TimeseriesBuilder {
  const legend = new VizLegendOptionsBuilder()
    .showLegend(true)
    .displayMode(LegendDisplayMode.Table)
    .placement(LegendPlacement.Bottom)
    .calcs(['lastNotNull', 'max', 'mean']);
  const tooltip = new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending);
  const builder = new TimeseriesBuilder().fillOpacity(5).min(0).legend(legend).tooltip(tooltip);
  if (limits) {
    const steps = [{ value: null as number | null, color: 'green' }];
    if (limits.orange !== undefined) steps.push({ value: limits.orange, color: 'orange' });
    if (limits.red !== undefined) steps.push({ value: limits.red, color: 'red' });
    builder
      .thresholds(new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(steps))
      .thresholdsStyle(new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Dashed));
  }
  for (const [index, { isLimit }] of queries.entries()) {
    if (!isLimit) continue;
    builder.overrideByQuery(String.fromCharCode('A'.charCodeAt(0) + index), [
      { id: 'custom.lineStyle', value: { fill: 'dash', dash: [8, 8] } },
      { id: 'custom.fillOpacity', value: 0 },
      { id: 'color', value: { mode: 'fixed', fixedColor: 'red' } },
    ]);
  }
  return builder;
}

/** A variable with the values that Prometheus knows; all of them at first. */
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
