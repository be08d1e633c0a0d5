import {Component, onMounted, onWillUnmount, xml} from "@odoo/owl";
import {registry} from "@web/core/registry";
import {standardWidgetProps} from "@web/views/widgets/standard_widget_props";
import {useService} from "@web/core/utils/hooks";

const PAUSE = 2000;

/** Shows the record anew every two seconds, as long as the form shows this widget. */
export class MatomoConnectRefresh extends Component {
    static template = xml`<i class="fa fa-spinner fa-spin me-2" role="img" title="Waiting"/>`;
    static props = {...standardWidgetProps};

    setup() {
        this.orm = useService("orm");
        this.isOpen = true;
        onMounted(() => this.wait());
        onWillUnmount(() => {
            this.isOpen = false;
            clearTimeout(this.timer);
        });
    }

    wait() {
        this.timer = setTimeout(() => this.refresh(), PAUSE);
    }

    async refresh() {
        const {record} = this.props;
        try {
            await this.orm.silent.call(record.resModel, "action_refresh", [
                [record.resId],
            ]);
            if (this.isOpen) {
                await record.load();
            }
        } finally {
            // Without an answer, as when the network is gone, it asks again.
            if (this.isOpen) {
                this.wait();
            }
        }
    }
}

registry.category("view_widgets").add("matomo_connect_refresh", {
    component: MatomoConnectRefresh,
});
