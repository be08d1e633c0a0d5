/* global posmodel */

import * as PaymentScreen from "@point_of_sale/../tests/pos/tours/utils/payment_screen_util";
import * as ProductScreen from "@point_of_sale/../tests/pos/tours/utils/product_screen_util";
import * as ReceiptScreen from "@point_of_sale/../tests/pos/tours/utils/receipt_screen_util";

/**
 * The tour helpers of a module that this one does not depend on; ask for them in
 * `steps`, when everything is loaded.
 */
export function helpers(module, name) {
    return odoo.loader.modules.get(`@${module}/../tests/tours/utils/${name}`);
}

/**
 * Wait until so many paid sales are only in the till.
 */
export function unsynced(count) {
    return {
        content: `${count} paid sales are not synced`,
        trigger: "body",
        async run({waitUntil}) {
            const paid = () =>
                posmodel.models["pos.order"].filter(
                    (order) => order.state === "paid" && !order.isSynced
                );
            await waitUntil(() => paid().length === count, {timeout: 20000});
        },
    };
}

export function pay(method) {
    return [
        ...PaymentScreen.clickPaymentMethod(method),
        ...PaymentScreen.clickValidate(),
        ...ReceiptScreen.isShown(),
    ];
}

export function nextOrder() {
    return [...ReceiptScreen.clickNextOrder(), ...ProductScreen.isShown()];
}

export function addProducts(...names) {
    return names.flatMap((name) => ProductScreen.clickDisplayedProduct(name));
}

export function sell(products, method) {
    return [
        ...addProducts(...products),
        ...ProductScreen.clickPayButton(),
        ...pay(method),
        ...nextOrder(),
    ];
}
