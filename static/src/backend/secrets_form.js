import {FormController} from "@web/views/form/form_controller";
import {formView} from "@web/views/form/form_view";
import {registry} from "@web/core/registry";

// Fields that are not stored, and the keys by which a button hands them over.
const SECRETS = {
    matomo_password: "matomo_password",
    matomo_code: "matomo_code",
    matomo_token_auth: "matomo_own_token_auth",
    matomo_admin_token_auth: "matomo_admin_token_auth",
};

/** Hands over to a button what is entered and not stored. */
export class MatomoSecretsController extends FormController {
    setup() {
        super.setup();
        this.secrets = {};
    }

    /** Each save may empty these fields: also one that no button has caused. */
    async onWillSaveRecord(record, changes) {
        for (const [field, key] of Object.entries(SECRETS)) {
            if (field in changes) {
                this.secrets[key] = changes[field] || "";
            }
        }
        return super.onWillSaveRecord(record, changes);
    }

    async beforeExecuteActionButton(clickParams) {
        const goesOn = await super.beforeExecuteActionButton(clickParams);
        clickParams.buttonContext = {...clickParams.buttonContext, ...this.secrets};
        return goesOn;
    }
}

registry.category("views").add("matomo_secrets_form", {
    ...formView,
    Controller: MatomoSecretsController,
});
