import {FormController} from "@web/views/form/form_controller";
import {formView} from "@web/views/form/form_view";
import {registry} from "@web/core/registry";

// Fields that are not stored, and the keys by which a button hands them over.
const SECRETS = {
    matomo_password: "matomo_password",
    matomo_code: "matomo_code",
    matomo_token_auth: "matomo_own_token_auth",
};

/** Hands over to a button what is entered and not stored. */
export class MatomoConnectController extends FormController {
    setup() {
        super.setup();
        this.secrets = {};
    }

    /** Saving empties these fields, also if the button is refused and pressed again. */
    async beforeExecuteActionButton(clickParams) {
        // What was entered last is not in the record yet.
        await this.model.root.isDirty();
        for (const [field, key] of Object.entries(SECRETS)) {
            const value = this.model.root.data[field];
            if (value) {
                this.secrets[key] = value;
            }
        }
        const goesOn = await super.beforeExecuteActionButton(clickParams);
        clickParams.buttonContext = {...clickParams.buttonContext, ...this.secrets};
        return goesOn;
    }
}

registry.category("views").add("matomo_connect_form", {
    ...formView,
    Controller: MatomoConnectController,
});
