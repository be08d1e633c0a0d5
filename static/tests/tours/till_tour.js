/* global luxon */

import * as Chrome from "@point_of_sale/../tests/pos/tours/utils/chrome_util";
import * as Order from "@point_of_sale/../tests/generic_helpers/order_widget_util";
import * as PaymentScreen from "@point_of_sale/../tests/pos/tours/utils/payment_screen_util";
import * as PosSale from "@pos_sale/../tests/tours/utils/pos_sale_utils";
import * as ProductScreen from "@point_of_sale/../tests/pos/tours/utils/product_screen_util";
import * as ReceiptScreen from "@point_of_sale/../tests/pos/tours/utils/receipt_screen_util";
import * as TicketScreen from "@point_of_sale/../tests/pos/tours/utils/ticket_screen_util";
import {inLeftSide} from "@point_of_sale/../tests/pos/tours/utils/common";
import {run} from "@point_of_sale/../tests/generic_helpers/utils";
import {pay, sell, unsynced} from "@matomo_order_tracking/../tests/tours/till_util";
import {registry} from "@web/core/registry";

/**
 * Let the till's clock show a time, in UTC, in a time zone far from it.
 */
function setClock(time) {
    return run(() => {
        luxon.Settings.defaultZone = "Asia/Tokyo";
        luxon.Settings.now = () => Date.parse(time);
    }, `it is ${time}`);
}

registry.category("web_tour.tours").add("matomo_till", {
    steps: () =>
        [
            Chrome.startPoS(),
            setClock("2026-03-01T10:00:00Z"),
            sell(["Chair"], "Cash"),
            unsynced(0),

            // Around midnight in Tokyo, in London, in New York.
            setClock("2026-03-01T15:30:00Z"),
            sell(["Chair", "Lamp"], "Cash"),
            setClock("2026-03-01T23:59:30Z"),
            sell(["Lamp"], "Card"),
            setClock("2026-03-02T05:30:00Z"),
            sell(["Lamp", "Lamp", "Chair"], "Voucher"),
            unsynced(0),

            // One of two chairs comes back; a customer fetches what was ordered.
            setClock("2026-03-02T08:00:00Z"),
            ProductScreen.clickRefund(),
            TicketScreen.selectOrderByPrice("127.08"),
            inLeftSide(Order.hasLine({productName: "Chair", withClass: ".selected"})),
            ProductScreen.clickNumpad("1"),
            TicketScreen.toRefundTextContains("To Refund: 1"),
            TicketScreen.confirmRefund(),
            PaymentScreen.isShown(),
            pay("Cash"),
            ReceiptScreen.clickNextOrder(),
            PosSale.settleNthOrder(1),
            ProductScreen.clickPayButton(),
            pay("Card"),
            unsynced(0),
        ].flat(),
});
