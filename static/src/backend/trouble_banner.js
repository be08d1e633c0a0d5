import {Component, onWillStart, onWillUpdateProps} from "@odoo/owl";
import {KanbanRenderer} from "@web/views/kanban/kanban_renderer";
import {ListRenderer} from "@web/views/list/list_renderer";
import {kanbanView} from "@web/views/kanban/kanban_view";
import {listView} from "@web/views/list/list_view";
import {RateNotice} from "./rate_notice";
import {registry} from "@web/core/registry";
import {useService} from "@web/core/utils/hooks";

/** Above the log: which sites take no orders, why, and what waits. */
export class TroubleBanner extends Component {
    static template = "matomo_order_tracking.TroubleBanner";
    static props = {list: Object};

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
        onWillStart(() => this.load());
        onWillUpdateProps(() => this.load());
    }

    async load() {
        this.troubles = await this.orm.call("matomo.overview", "get_troubles");
    }

    open(id, name) {
        return this.action.doActionButton({
            type: "object",
            name,
            resModel: "matomo.overview",
            resId: id,
        });
    }
}

class LogListRenderer extends ListRenderer {
    static template = "matomo_order_tracking.LogListRenderer";
    static components = {...ListRenderer.components, RateNotice, TroubleBanner};
}

class LogKanbanRenderer extends KanbanRenderer {
    static template = "matomo_order_tracking.LogKanbanRenderer";
    static components = {...KanbanRenderer.components, TroubleBanner};
}

const views = registry.category("views");
views.add("matomo_log_list", {...listView, Renderer: LogListRenderer});
views.add("matomo_log_kanban", {...kanbanView, Renderer: LogKanbanRenderer});
