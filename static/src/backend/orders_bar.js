import {Component} from "@odoo/owl";
import {_t} from "@web/core/l10n/translation";
import {formatInteger} from "@web/views/fields/formatters";
import {registry} from "@web/core/registry";
import {standardFieldProps} from "@web/views/fields/standard_field_props";
import {useService} from "@web/core/utils/hooks";

const COLORS = {
    verified: "bg-success",
    sent: "bg-info",
    pending: "bg-primary",
    different: "bg-warning",
    failed: "bg-danger",
    elsewhere: "bg-info bg-opacity-50",
    excluded: "bg-secondary",
    cancelled: "bg-secondary bg-opacity-50",
};

/** The orders of a period by state, as one bar; each part opens its orders. */
export class OrdersBar extends Component {
    static template = "matomo_order_tracking.OrdersBar";
    static props = {...standardFieldProps};

    setup() {
        this.action = useService("action");
        this.colors = COLORS;
        this.format = formatInteger;
    }

    get bar() {
        return this.props.record.data[this.props.name];
    }

    get title() {
        return this.bar.period === "today" ? _t("Today") : _t("Last 30 days");
    }

    describe(segment) {
        return `${segment.label}: ${formatInteger(segment.count)}`;
    }

    open(state) {
        const {resModel, resId} = this.props.record;
        const names = [this.bar.period, ...(state ? [state] : [])];
        return this.action.doActionButton({
            type: "object",
            name: "action_view_orders",
            resModel,
            resId,
            args: JSON.stringify(names),
        });
    }
}

registry.category("fields").add("matomo_orders_bar", {
    component: OrdersBar,
    supportedTypes: ["json"],
});
