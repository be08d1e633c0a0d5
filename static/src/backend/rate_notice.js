import {Component, onWillStart} from "@odoo/owl";
import {GraphRenderer} from "@web/views/graph/graph_renderer";
import {ListRenderer} from "@web/views/list/list_renderer";
import {PivotRenderer} from "@web/views/pivot/pivot_renderer";
import {graphView} from "@web/views/graph/graph_view";
import {listView} from "@web/views/list/list_view";
import {pivotView} from "@web/views/pivot/pivot_view";
import {registry} from "@web/core/registry";
import {useService} from "@web/core/utils/hooks";

/** Above a list, pivot or graph: why amounts of several currencies are not added up. */
export class RateNotice extends Component {
    static template = "matomo_order_tracking.RateNotice";
    static props = {resModel: String};

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
        onWillStart(async () => {
            this.notice = await this.orm.call(this.props.resModel, "get_rate_notice");
        });
    }

    open() {
        return this.action.doAction(this.notice.action);
    }
}

class AmountsListRenderer extends ListRenderer {
    static template = "matomo_order_tracking.AmountsListRenderer";
    static components = {...ListRenderer.components, RateNotice};
}

class AmountsPivotRenderer extends PivotRenderer {
    static template = "matomo_order_tracking.AmountsPivotRenderer";
    static components = {...PivotRenderer.components, RateNotice};
}

class AmountsGraphRenderer extends GraphRenderer {
    static template = "matomo_order_tracking.AmountsGraphRenderer";
    static components = {...GraphRenderer.components, RateNotice};
}

// The server gives its views these classes as long as a rate is missing.
const views = registry.category("views");
views.add("matomo_amounts_list", {...listView, Renderer: AmountsListRenderer});
views.add("matomo_amounts_pivot", {...pivotView, Renderer: AmountsPivotRenderer});
views.add("matomo_amounts_graph", {...graphView, Renderer: AmountsGraphRenderer});
