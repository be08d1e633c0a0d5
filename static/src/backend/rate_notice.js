import {Component, onWillStart} from "@odoo/owl";
import {ListRenderer} from "@web/views/list/list_renderer";
import {listView} from "@web/views/list/list_view";
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

// The server gives its views these classes as long as a rate is missing.
registry
    .category("views")
    .add("matomo_amounts_list", {...listView, Renderer: AmountsListRenderer});
