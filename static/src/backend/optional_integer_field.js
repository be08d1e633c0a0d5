import {registry} from "@web/core/registry";
import {IntegerField, integerField} from "@web/views/fields/integer/integer_field";

/** A number of which 0 means that there is none: then nothing is shown. */
export class OptionalIntegerField extends IntegerField {
    get formattedValue() {
        return this.value ? super.formattedValue : "";
    }
}

registry.category("fields").add("matomo_optional_integer", {
    ...integerField,
    component: OptionalIntegerField,
});
