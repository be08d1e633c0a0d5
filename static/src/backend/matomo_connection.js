import {Component, onMounted, useState} from "@odoo/owl";
import {formatDateTime} from "@web/core/l10n/dates";
import {registry} from "@web/core/registry";
import {useService} from "@web/core/utils/hooks";
import {standardWidgetProps} from "@web/views/widgets/standard_widget_props";

const COLORS = {
    unknown: "secondary",
    ok: "success",
    warning: "warning",
    error: "danger",
};

/**
 * The state of a Matomo site in the settings, and the test of what is entered.
 *
 * A button of the form would save the form first, or ask whether to: the test takes the
 * values that stand in the form, and nothing is stored.
 */
export class MatomoConnection extends Component {
    static template = "matomo_order_tracking.MatomoConnection";
    static props = {...standardWidgetProps, prefix: String, holder: String};

    setup() {
        this.orm = useService("orm");
        this.test = useState({isRunning: false, result: null, entered: ""});
        onMounted(() => {
            // Saved a moment ago: nobody has to press the button for that.
            if (this.site && this.state === "unknown" && !this.get("is_copy")) {
                this.run();
            }
        });
    }

    get(name) {
        return this.props.record.data[`${this.props.prefix}_${name}`];
    }

    /** The saved site of the website or till. */
    get site() {
        return this.get("site_id");
    }

    get state() {
        return this.result?.state || this.get("state");
    }

    get stateLabel() {
        const {selection} = this.props.record.fields[`${this.props.prefix}_state`];
        return selection.find(([value]) => value === this.state)?.[1];
    }

    get color() {
        return COLORS[this.state];
    }

    get lastSuccess() {
        const moment = this.get("last_success_date");
        return moment && formatDateTime(moment);
    }

    /** What is tested: the arguments of the model's method. */
    get entered() {
        const {data} = this.props.record;
        if (this.get("site_source") === "website") {
            const website = this.get("website_id");
            return {holder_model: "website", holder_id: website && website.id};
        }
        return {
            holder_model: this.props.record.fields[this.props.holder].relation,
            holder_id: data[this.props.holder] && data[this.props.holder].id,
            url: this.get("url") || "",
            idsite: this.get("idsite") || "",
            token_auth: this.get("token_auth") || "",
        };
    }

    /** The result of the last test, as long as nothing else is entered. */
    get result() {
        const isOfThis = this.test.entered === JSON.stringify(this.entered);
        return isOfThis ? this.test.result : null;
    }

    get alert() {
        return this.result && `alert-${this.result.type}`;
    }

    async run() {
        Object.assign(this.test, {isRunning: true, result: null});
        try {
            // What is being typed belongs to it.
            await this.props.record.isDirty();
            const entered = this.entered;
            this.test.result = await this.orm.call(
                "res.config.settings",
                "action_test_matomo_connection",
                [],
                entered
            );
            this.test.entered = JSON.stringify(entered);
        } finally {
            this.test.isRunning = false;
        }
    }
}

export const matomoConnection = {
    component: MatomoConnection,
    extractProps: ({options}) => ({prefix: options.prefix, holder: options.holder}),
};

registry.category("view_widgets").add("matomo_connection", matomoConnection);
