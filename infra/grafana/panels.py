"""The few kinds of panel that the dashboards are made of, alike in look."""

from typing import TypeAlias

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.cog import builder as cogbuilder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Panel,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableHide,
    VariableRefresh,
    VariableSort,
)

Queries: TypeAlias = dict[str, str]
"""PromQL by the legend of its curves, e.g. `{"{{server}}": "sum by (server) (…)"}`."""

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
"""Whichever Prometheus is chosen at the top of the dashboard."""

_HEIGHT = 7
"""Rows of Grafana's grid; a curve and its legend can be read in it."""


def board(title: str, uid: str, description: str, *, since: str) -> dashboard.Dashboard:
    """Make an empty dashboard; `uid` is its address and stays, `since` is e.g. `now-1h`."""
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["emostream"])
        .time(since, "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("emostream")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["emostream"])
            .include_vars(include_vars=False)
            .keep_time(keep_time=True)
        )
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
        )
    )


def row(
    found: dashboard.Dashboard,
    title: str,
    *panels: cogbuilder.Builder[Panel],
    collapsed: bool = False,
) -> dashboard.Dashboard:
    """Put a headline and the panels below it at the dashboard's end.

    A `collapsed` row shows its headline alone, and asks Prometheus nothing until it is opened.
    """
    headline = dashboard.Row(title)
    if collapsed:  # Grafana has these panels inside of their row
        for panel in panels:
            headline = headline.with_panel(panel)
        return found.with_row(headline)
    found = found.with_row(headline)
    for panel in panels:
        found = found.with_panel(panel)
    return found


def choice(name: str, label: str, metric: str) -> dashboard.QueryVariable:
    """Make a choice of the values that a label of a metric has; all of them at first."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .hide(VariableHide.DONT_HIDE)
        .datasource(SOURCE)
        .query(f"label_values({metric}, {name})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.NATURAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
    )


def curves(
    title: str,
    meaning: str,
    unit: str,
    queries: Queries,
    *,
    width: int = 8,
    top: float | None = None,
) -> timeseries.Panel:
    """Curves over time; `unit` is one of Grafana's ids, `width` is of 24, `top` ends the axis."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(meaning)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .span(width)
        .height(_HEIGHT)
        .line_width(1)
        .fill_opacity(8)
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    for query in _queries(queries):
        panel = panel.with_target(query)
    return panel if top is None else panel.max(top)


def figure(
    title: str,
    meaning: str,
    unit: str,
    query: str,
    *,
    warn: float | None = None,
    bad: float | None = None,
    good_above: bool = False,
    width: int = 4,
) -> stat.Panel:
    """Show one number as it is now: orange from `warn` on, red from `bad` on.

    With `good_above` it is the other way round: red below `bad`.
    """
    steps = (
        [Threshold(value=None, color="red"), Threshold(value=bad, color="green")]
        if good_above
        else [
            Threshold(value=None, color="green"),
            *([] if warn is None else [Threshold(value=warn, color="orange")]),
            *([] if bad is None else [Threshold(value=bad, color="red")]),
        ]
    )
    panel = (
        stat.Panel()
        .title(title)
        .description(meaning)
        .datasource(SOURCE)
        .unit(unit)
        .span(width)
        .height(4)
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.AREA)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]).values(values=False))
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    )
    for one in _queries({"": query}):
        panel = panel.with_target(one)
    return panel


def states(
    title: str,
    meaning: str,
    queries: Queries,
    names: dict[int, tuple[str, str]],
    *,
    width: int = 24,
) -> statetimeline.Panel:
    """Show states over time, a lane for each curve; `names` has a value's word and colour."""
    words = {
        str(value): ValueMappingResult(text=word, color=colour, index=value)
        for value, (word, colour) in names.items()
    }
    panel = (
        statetimeline.Panel()
        .title(title)
        .description(meaning)
        .datasource(SOURCE)
        .span(width)
        .height(_HEIGHT)
        .mappings([ValueMap(options=words)])
    )
    for query in _queries(queries):
        panel = panel.with_target(query)
    return panel


def _queries(queries: Queries) -> list[prometheus.Dataquery]:
    return [
        prometheus.Dataquery().ref_id(chr(ord("A") + place)).expr(expr).legend_format(legend)
        for place, (legend, expr) in enumerate(queries.items())
    ]
