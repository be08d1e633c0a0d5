from odoo import models
from odoo.tools import ormcache

from odoo.addons.base_automation.models import base_automation

from ..outbox.transactions import caught

Rule = base_automation.BaseAutomation
# The action of the addon's rules, see data/base_automation_data.xml.
TRACK = 'if "matomo.request" in env: records._matomo_track()'


class BaseAutomation(models.Model):
    """Rules of orders that cost nothing where they cannot run.

    For a model that has a rule, Odoo searches the rules whenever a record is created,
    written or recomputed, and evaluates each of them. The rules of this addon would do
    this to each step of a sale. Here a rule runs when it would run without this.
    """

    _inherit = "base.automation"

    # Which fields the rules watch is read when the models are patched.
    CRITICAL_FIELDS = [*Rule.CRITICAL_FIELDS, "filter_domain", "trigger_field_ids"]

    def _get_actions(self, records, triggers):
        """Override of `base_automation` to search the rules of orders only once."""
        with caught("The rules of %s could not be remembered", records._name):
            if records._name in self._get_matomo_model_names():
                ids = self._find_matomo_rules(records._name, tuple(triggers))
                if "__action_done" not in self.env.context:
                    self = self.with_context(__action_done={})
                return self.browse(ids)
        return super()._get_actions(records, triggers)

    @ormcache("model_name", "triggers")
    def _find_matomo_rules(self, model_name, triggers):
        """Return the IDs of the rules of a model that are switched on, as a tuple."""
        domain = [("model_name", "=", model_name), ("trigger", "in", triggers)]
        # sudo: whoever sells need not see the rules.
        return self.sudo().with_context(active_test=True).search(domain)._ids

    @ormcache()
    def _get_matomo_model_names(self):
        """Return the names of the models whose orders are tracked."""
        models_ = self.env["matomo.order.mixin"]._get_matomo_order_models()
        return frozenset(orders._name for orders in models_)

    def _process(self, records, domain_post=None):
        """Override of `base_automation` to run the addon's own action at less cost.

        Odoo reads what the action says, and runs it once for each order.
        """
        with caught("The rule is run as Odoo does it: %s", self):
            if records and self._is_matomo_rule():
                # Of a new order each field has changed: what the rule watches need not
                # be read. Of others, a rule of another person has Odoo evaluate this
                # one at each change.
                if self.env.context.get("old_values") is not None:
                    records = records.filtered(self._check_trigger_fields)
                if records:
                    records._matomo_track()
                return
        super()._process(records, domain_post)

    @ormcache("self.id")
    def _is_matomo_rule(self):
        """Return whether the rule does nothing but track orders.

        A rule is run as Odoo does it if a person has changed what it does, or for whom.
        """
        # sudo: see _find_matomo_rules.
        rule = self.sudo()
        actions = rule.action_server_ids
        return (
            rule.model_name in self._get_matomo_model_names()
            and actions.mapped("code") == [TRACK]
            and actions.state == "code"
            and not actions.group_ids
        )

    def _update_registry(self):
        """Override of `base_automation` to forget which rules there were."""
        self.env.registry.clear_cache()
        return super()._update_registry()

    def _register_hook(self):
        """Override of `base_automation`: see ``_narrow_matomo_hooks``."""
        super()._register_hook()
        with caught("The rules of orders are evaluated more often than they run"):
            for name in self._get_matomo_model_names():
                self._narrow_matomo_hooks(self.env.registry[name])

    def _narrow_matomo_hooks(self, model_class):
        """Evaluate the rules of a model only if a field is written that they watch.

        A rule that watches fields does not run if none of them changes. If it watches
        no computed field, no recomputation makes it run. One case is not seen: a module
        whose ``write`` adds a watched field to what it was asked to write.

        :param model_class: of the registry, patched by ``_register_hook``
        """
        patched = vars(model_class).get("write")
        triggers = tuple(base_automation.WRITE_TRIGGERS)
        # sudo: see _find_matomo_rules.
        rules = self.sudo().browse(self._find_matomo_rules(model_class._name, triggers))
        if not hasattr(patched, "origin") or not all(
            rule.trigger_field_ids for rule in rules
        ):
            return
        watched = set(rules.trigger_field_ids.mapped("name"))

        def write(self, vals):
            is_watched = any(
                any(record[name] != vals[name] for record in self)
                for name in watched & vals.keys()
            )
            return (patched if is_watched else patched.origin)(self, vals)

        model_class.write = write
        if not any(model_class._fields[name].compute for name in watched):
            del model_class._compute_field_value
