import {
    JournalDashboardGraphField,
    journalDashboardGraphField,
} from "@web/views/fields/journal_dashboard_graph/journal_dashboard_graph_field";
import {cookie} from "@web/core/browser/cookie";
import {getColor} from "@web/core/colors/colors";
import {registry} from "@web/core/registry";

/**
 * Odoo's graph of a journal, with two lines that should be one.
 *
 * The second one is dashed: where both are equal, both are to be seen.
 */
export class TwoLines extends JournalDashboardGraphField {
    renderChart() {
        this.data = JSON.parse(this.props.record.data[this.props.name]);
        super.renderChart();
    }

    getLineChartConfig() {
        const config = super.getLineChartConfig();
        const [odoo] = config.data.datasets;
        const color = getColor(1, cookie.get("color_scheme"), "odoo");
        Object.assign(odoo, {fill: false, borderWidth: 3, pointRadius: 2});
        config.data.datasets.push({
            ...odoo,
            label: this.data[1].key,
            data: this.data[1].values,
            borderColor: color,
            backgroundColor: color,
            borderWidth: 2,
            borderDash: [4, 4],
        });
        config.options.plugins.legend = {
            display: true,
            align: "start",
            labels: {usePointStyle: true, pointStyle: "line"},
        };
        Object.assign(config.options.plugins.tooltip, {
            mode: "index",
            callbacks: {
                label: ({dataset, raw}) => `${dataset.label}: ${raw.label}`,
            },
        });
        config.options.scales.x = {
            grid: {display: false},
            ticks: {align: "inner", autoSkipPadding: 24, maxRotation: 0},
        };
        config.options.scales.y = {display: false, beginAtZero: true};
        return config;
    }
}

registry.category("fields").add("matomo_two_lines", {
    ...journalDashboardGraphField,
    component: TwoLines,
});
