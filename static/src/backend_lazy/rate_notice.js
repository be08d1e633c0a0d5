// Odoo loads pivots and graphs, and what extends them, when the first one is opened.
import {GraphRenderer} from "@web/views/graph/graph_renderer";
import {PivotRenderer} from "@web/views/pivot/pivot_renderer";
import {RateNotice} from "@matomo_order_tracking/backend/rate_notice";
import {graphView} from "@web/views/graph/graph_view";
import {pivotView} from "@web/views/pivot/pivot_view";
import {registry} from "@web/core/registry";

class AmountsPivotRenderer extends PivotRenderer {
    static template = "matomo_order_tracking.AmountsPivotRenderer";
    static components = {...PivotRenderer.components, RateNotice};
}

class AmountsGraphRenderer extends GraphRenderer {
    static template = "matomo_order_tracking.AmountsGraphRenderer";
    static components = {...GraphRenderer.components, RateNotice};
}

const views = registry.category("views");
views.add("matomo_amounts_pivot", {...pivotView, Renderer: AmountsPivotRenderer});
views.add("matomo_amounts_graph", {...graphView, Renderer: AmountsGraphRenderer});
