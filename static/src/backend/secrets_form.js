import {Component, onWillUnmount, useState, useSubEnv, xml} from "@odoo/owl";
import {FormController} from "@web/views/form/form_controller";
import {_t} from "@web/core/l10n/translation";
import {formView} from "@web/views/form/form_view";
import {registry} from "@web/core/registry";
import {standardFieldProps} from "@web/views/fields/standard_field_props";

// Fields that are not stored, and the keys by which a button hands them over.
const SECRETS = {
    matomo_password: "matomo_password",
    matomo_code: "matomo_code",
    matomo_token_auth: "matomo_own_token_auth",
    matomo_admin_token_auth: "matomo_admin_token_auth",
};

/**
 * A text that is handed over to a button of the form, and never saved.
 *
 * What is entered stays in this field, and nowhere else, until the form is closed: a
 * save of the record would empty the field, while the secret was kept and sent.
 */
export class MatomoSecretField extends Component {
    static template = xml`
        <input
            class="o_input"
            t-att-id="props.id"
            t-att-type="props.isPassword ? 'password' : 'text'"
            autocomplete="off"
            t-att-placeholder="props.placeholder"
            t-model="secrets[props.name]"
        />`;

    static props = {
        ...standardFieldProps,
        isPassword: {type: Boolean, optional: true},
        placeholder: {type: String, optional: true},
    };

    setup() {
        this.secrets = useState(this.env.matomoSecrets);
        this.secrets[this.props.name] = "";
        // What nobody sees is not sent.
        onWillUnmount(() => {
            this.secrets[this.props.name] = "";
        });
    }
}

registry.category("fields").add("matomo_secret", {
    component: MatomoSecretField,
    displayName: _t("Secret"),
    supportedTypes: ["char"],
    extractProps: ({attrs, placeholder}) => ({
        isPassword: Boolean(attrs.password),
        placeholder: placeholder || attrs.placeholder,
    }),
});

/** Hands over to a button what is entered and not stored. */
export class MatomoSecretsController extends FormController {
    setup() {
        super.setup();
        this.secrets = useState({});
        useSubEnv({matomoSecrets: this.secrets});
    }

    async beforeExecuteActionButton(clickParams) {
        const goesOn = await super.beforeExecuteActionButton(clickParams);
        const entered = Object.entries(SECRETS).map(([field, key]) => [
            key,
            this.secrets[field] || "",
        ]);
        clickParams.buttonContext = {
            ...clickParams.buttonContext,
            ...Object.fromEntries(entered.filter(([, secret]) => secret)),
        };
        return goesOn;
    }
}

registry.category("views").add("matomo_secrets_form", {
    ...formView,
    Controller: MatomoSecretsController,
});
