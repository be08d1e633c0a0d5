import logging
import os

from odoo import api, fields, models
from odoo.exceptions import AccessError, ValidationError
from odoo.tools import SQL, config

from ..matomo_api.tracking import tracker_url

MAX_TOKEN_LENGTH = 255


class WriteOnlyChar(fields.Char):
    """A text that is entered and used, and handed out to nobody, whoever asks.

    Asking a little is asking: whoever may search, sort or group by a secret can
    guess it letter by letter. So the ORM has no SQL for it; the model fetches it.
    """

    _description_searchable = False

    def _description_sortable(self, env):
        return False

    def _description_groupable(self, env):
        return False

    def convert_to_read(self, value, record, use_display_name=True):
        return False

    def convert_to_export(self, value, record):
        return ""

    def convert_to_onchange(self, value, record, names):
        return False

    def to_sql(self, model, alias):
        raise self._refusal(model)

    def filter_function(self, records, field_expr, operator, value):
        raise self._refusal(records)

    def _refusal(self, records):
        return AccessError(
            records.env._(
                "Nobody can search, sort or group by “%s”.",
                self._description_string(records.env),
            )
        )


class HideToken(logging.Filter):
    """Odoo logs the arguments of each call at debug level: not if a token is in."""

    def filter(self, record):
        if record.levelno <= logging.DEBUG and "token_auth" in record.getMessage():
            record.msg, record.args = "call of a method with a token: not shown", ()
        return True


logging.getLogger("odoo.service.model").addFilter(HideToken())


class MatomoSite(models.Model):
    """The secret: it comes in, goes into POST bodies, and nowhere else."""

    _inherit = "matomo.site"

    token_auth = WriteOnlyChar(
        string="Token",
        copy=False,
        prefetch=False,
        groups="base.group_system",
        help="An authentication token of a Matomo user with write access to this "
        "site. Do not use a superuser's token.",
    )

    # === READING === #

    def _get_token(self):
        """The token: of the environment, the configuration file, or the field."""
        self.ensure_one()
        # sudo: the sender runs for everybody; the token goes into the POST only.
        return self._get_outside_token() or self.sudo().token_auth

    def _get_outside_token(self):
        """The token that is kept out of the database.

        ``MATOMO_TOKEN_<record id>`` in the environment, else
        ``matomo_token_<record id>`` in Odoo's configuration file.
        """
        self.ensure_one()
        key = f"matomo_token_{self.id}"
        return os.environ.get(key.upper()) or os.environ.get(key) or config.get(key)

    def _fetch_query(self, query, fields):
        """Override of the ORM: the token comes by a way of its own."""
        token = self._fields["token_auth"]
        fetched = super()._fetch_query(
            query, [field for field in fields if field is not token]
        )
        if token in fields:
            tokens = dict(
                self.env.execute_query(
                    query.select(
                        SQL.identifier(self._table, "id"),
                        SQL.identifier(self._table, token.name),
                    )
                )
            )
            token._insert_cache(fetched, [tokens[id_] for id_ in fetched._ids])
        return fetched

    @api.model
    def default_get(self, fields):
        """Override of the ORM: no default is a token."""
        values = super().default_get(fields)
        values.pop("token_auth", None)
        return values

    # === WRITING === #

    @api.model_create_multi
    def create(self, vals_list):
        tokens = [self._take_token(vals) for vals in vals_list]
        sites = super().create(vals_list)
        for site, token in zip(sites, tokens, strict=True):
            if token:
                site._set_token(token)
        return sites

    def write(self, vals):
        """Override of the ORM to keep the token with the host it was entered for.

        Somebody who may change the address but not see the token must not be
        able to have it sent elsewhere, nor scripts of elsewhere run in the shop.
        """
        self._check_required(vals)
        vals = self._clean_values(dict(vals))
        has_token = "token_auth" in vals
        token = self._take_token(vals)
        if vals.get("url") and not self.env.is_system():
            self._leave_address(vals["url"])
        result = super().write(vals)
        if has_token:
            self._set_token(token)
            self._mend()
        return result

    @api.model
    def _take_token(self, vals):
        """Take the token out of values, which end in log lines when they fail."""
        if "token_auth" not in vals:
            return False
        self._check_field_access(self._fields["token_auth"], "write")
        token = "".join((vals.pop("token_auth") or "").split()).replace("\x00", "")
        if len(token) > MAX_TOKEN_LENGTH:
            raise ValidationError(self.env._("This is too long for a token."))
        return token

    @api.model
    def _check_required(self, vals):
        """Refuse what PostgreSQL would refuse by showing the row, token included."""
        for name, value in vals.items():
            field = self._fields.get(name)
            if not field or not field.required:
                continue
            kept = field.convert_to_cache(value, self, validate=False)
            if kept is None or kept is False:
                raise ValidationError(
                    self.env._(
                        "“%s” must not be empty.", field._description_string(self.env)
                    )
                )

    def _leave_address(self, url):
        """Take token and tag away from sites that move to another address.

        :raise AccessError: when it is kept where only an administrator can do so
        """
        moved = self.filtered(lambda site: tracker_url(site.url) != tracker_url(url))
        if moved.filtered(lambda site: site._get_outside_token()):
            raise AccessError(
                self.env._(
                    "Only an administrator can change this address: the token is kept "
                    "outside of the database and would travel to the new one."
                )
            )
        # sudo: the token is the administrators'; here it is only taken away.
        moved.sudo().filtered("token_auth")._set_token(False)
        # sudo: the tag loads a script from there, for all visitors, administrators
        # included; it is the website designers' to put scripts into a shop.
        websites = self.env["website"].sudo()
        websites.search(
            [("matomo_site_id", "in", moved.ids), ("matomo_tag", "=", True)]
        ).matomo_tag = False

    def _set_token(self, token):
        """Store the token by a statement that no constraint can make fail.

        A statement that fails is logged with its values.
        """
        self.env.cr.execute(
            SQL(
                "UPDATE matomo_site SET token_auth = %s WHERE id = ANY(%s)",
                token or None,
                self.ids,
            ),
            log_exceptions=False,
        )
        self.invalidate_recordset(["token_auth"], flush=False)
