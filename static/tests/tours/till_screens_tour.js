import * as Chrome from "@point_of_sale/../tests/pos/tours/utils/chrome_util";
import * as Dialog from "@point_of_sale/../tests/generic_helpers/dialog_util";
import * as NumberPopup from "@point_of_sale/../tests/generic_helpers/number_popup_util";
import * as Order from "@point_of_sale/../tests/generic_helpers/order_widget_util";
import * as PaymentScreen from "@point_of_sale/../tests/pos/tours/utils/payment_screen_util";
import * as ProductScreen from "@point_of_sale/../tests/pos/tours/utils/product_screen_util";
import * as ReceiptScreen from "@point_of_sale/../tests/pos/tours/utils/receipt_screen_util";
import * as TicketScreen from "@point_of_sale/../tests/pos/tours/utils/ticket_screen_util";
import {
    addProducts,
    helpers,
    nextOrder,
    pay,
    sell,
    unsynced,
} from "@matomo_order_tracking/../tests/tours/till_util";
import {inLeftSide} from "@point_of_sale/../tests/pos/tours/utils/common";
import {registry} from "@web/core/registry";

const tours = registry.category("web_tour.tours");

/**
 * Take back so many of the first line of the sale of a price.
 */
function takeBack(price, product, quantity) {
    return [
        ...ProductScreen.clickRefund(),
        ...TicketScreen.selectOrderByPrice(price),
        ...inLeftSide(Order.hasLine({productName: product, withClass: ".selected"})),
        ...ProductScreen.clickNumpad(quantity),
        ...TicketScreen.toRefundTextContains(`To Refund: ${quantity}`),
        ...TicketScreen.confirmRefund(),
        ...PaymentScreen.isShown(),
    ];
}

function chooseCustomer(name) {
    return [
        ...ProductScreen.clickPartnerButton(),
        ...ProductScreen.clickCustomer(name),
    ];
}

function addTip(amount) {
    return [
        ...PaymentScreen.clickTipButton(),
        ...NumberPopup.enterValue(amount),
        ...NumberPopup.isShown(amount),
        Dialog.confirm(),
    ];
}

tours.add("matomo_till_returns", {
    steps: () =>
        [
            Chrome.startPoS(),
            sell(["Chair", "Lamp"], "Cash"),
            sell(["Lamp", "Lamp", "Lamp"], "Card"),

            // Two of three lamps.
            takeBack("36.23", "Lamp", "2"),
            pay("Card"),
            nextOrder(),

            // A lamp for a chair that comes back. Odoo's own refund takes no new
            // products: the cashier types a negative quantity.
            addProducts("Lamp", "Chair"),
            ProductScreen.clickNumpad("+/-"),
            Order.hasTotal("-102.92"),
            ProductScreen.clickPayButton(),
            pay("Cash"),
            nextOrder(),

            addProducts("Chair"),
            ProductScreen.clickPayButton(),
            addTip("5"),
            pay("Card"),
            unsynced(0),
        ].flat(),
});

tours.add("matomo_till_programs", {
    steps: () => {
        const Loyalty = helpers("pos_loyalty", "pos_loyalty_util");
        return [
            Chrome.startPoS(),

            addProducts("Present"),
            Loyalty.createManualGiftCard("present-0001", 80),
            Loyalty.orderTotalIs("80.00"),
            ProductScreen.clickPayButton(),
            pay("Cash"),
            nextOrder(),

            addProducts("Chair"),
            Loyalty.enterCode("present-0001"),
            Loyalty.orderTotalIs("35.00"),
            ProductScreen.clickPayButton(),
            pay("Cash"),
            nextOrder(),

            chooseCustomer("Nora Shopper"),
            sell(["Purse"], "Cash"),

            chooseCustomer("Nora Shopper"),
            addProducts("Lamp"),
            Loyalty.eWalletButtonState({
                highlighted: true,
                text: "eWallet Pay",
                click: true,
            }),
            Loyalty.orderTotalIs("0.00"),
            ProductScreen.clickPayButton(),
            pay("Cash"),
            nextOrder(),

            chooseCustomer("Nora Shopper"),
            addProducts("Chair", "Chair"),
            Loyalty.claimReward("A tenth off"),
            Loyalty.orderTotalIs("207.00"),
            ProductScreen.clickPayButton(),
            pay("Card"),
            nextOrder(),

            // What comes back is paid out as a gift card.
            sell(["Lamp", "Lamp"], "Cash"),
            takeBack("24.15", "Lamp", "2"),
            PaymentScreen.clickBackToProductScreen(),
            ProductScreen.isShown(),
            addProducts("Present"),
            Loyalty.orderTotalIs("0.00"),
            ProductScreen.clickPayButton(),
            pay("Cash"),
            unsynced(0),
        ].flat();
    },
});

/**
 * Back to the tables, once the order is saved.
 */
function leaveTable() {
    return [
        {trigger: ".pos-leftheader .table-button", run: "click"},
        {trigger: ".floor-map .table"},
        Chrome.isSynced(),
    ];
}

tours.add("matomo_till_table", {
    steps: () => {
        const Floor = helpers("pos_restaurant", "floor_screen_util");
        const Split = helpers("pos_restaurant", "split_bill_screen_util");
        const Tip = helpers("pos_restaurant", "tip_screen_util");
        return [
            Chrome.startPoS(),

            // Three rounds, each saved when the waiter leaves the table.
            [
                ["Chair", "115.00"],
                ["Lamp", "127.08"],
                ["Lamp", "139.15"],
            ].flatMap(([round, total]) => [
                Floor.clickTable("2"),
                ...ProductScreen.isShown(),
                ...addProducts(round),
                ...ProductScreen.totalAmountIs(total),
                ...leaveTable(),
            ]),

            // One guest pays for a lamp, the other one for the rest.
            Floor.clickTable("2"),
            ProductScreen.clickControlButton("Split"),
            Split.clickOrderline("Lamp"),
            Split.clickButton("Pay"),
            PaymentScreen.isShown(),
            PaymentScreen.clickPaymentMethod("Cash"),
            PaymentScreen.clickValidate(),
            Tip.isShown(),
            Tip.clickSettle(),
            ReceiptScreen.isShown(),
            leaveTable(),
            Floor.clickTable("2"),
            Split.clickOrderline("Chair"),
            Split.clickOrderline("Lamp"),
            Split.clickButton("Pay"),
            PaymentScreen.isShown(),
            PaymentScreen.clickPaymentMethod("Card"),
            PaymentScreen.clickValidate(),
            Tip.isShown(),
            unsynced(0),

            // The tip is added when the guests have left.
            leaveTable(),
            Chrome.clickOrders(),
            TicketScreen.selectFilter("Tipping"),
            TicketScreen.selectOrderByPrice("127.08"),
            TicketScreen.loadSelectedOrder(),
            Tip.isShown(),
            Tip.setCustomTip("5.00"),
            Tip.inputAmountIs("5.00"),
            Tip.clickSettle(),
            ReceiptScreen.isShown(),
        ].flat();
    },
});
