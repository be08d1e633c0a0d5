from odoo import api, fields, models
from odoo.exceptions import ValidationError


class MatomoSite(models.Model):
    """What the visit of a sale shows in Matomo: which customer, and three dimensions.

    Of custom dimensions only those of scope Visit get the values of an order: for
    those of scope Action, Matomo drops them, an order being no page view.
    """

    _inherit = "matomo.site"

    identify_customers = fields.Boolean(
        string="Known Customers at the Till",
        help="Till sales to a known customer become one visitor in Matomo. It gets a "
        "random-looking number, never a name or an e-mail address. Otherwise each "
        "till sale is a visitor of its own.",
    )
    channel_dimension = fields.Integer(
        aggregator=None,
        help="The number of the custom dimension (scope Visit) in Matomo that shows "
        "whether a sale is the web shop's, a salesperson's or a till's. 0: none.",
    )
    till_dimension = fields.Integer(
        aggregator=None,
        help="The number of the custom dimension (scope Visit) in Matomo that shows "
        "the till. 0: none.",
    )
    salesperson_dimension = fields.Integer(
        aggregator=None,
        help="The number of the custom dimension (scope Visit) in Matomo that shows "
        "the salesperson. 0: none.",
    )

    @api.constrains("channel_dimension", "till_dimension", "salesperson_dimension")
    def _check_dimensions(self):
        for site in self:
            numbers = [
                number
                for number in (
                    site.channel_dimension,
                    site.till_dimension,
                    site.salesperson_dimension,
                )
                if number
            ]
            if min(numbers, default=1) < 1 or len(set(numbers)) < len(numbers):
                raise ValidationError(
                    self.env._(
                        "Enter the number of a custom dimension in Matomo, each another"
                        " one, or 0 for none."
                    )
                )

    def _get_dimensions(self, order):
        """The site's custom dimensions of an order: ``{number: value}``.

        Channels are named in the site's one language.
        """
        self.ensure_one()
        requests = self.env["matomo.request"].with_context(lang=self.lang_id.code)
        channel = requests._fields["channel"]
        channels = dict(channel._description_selection(requests.env))
        dimensions = {
            self.channel_dimension: channels[order._get_matomo_channel()],
            self.till_dimension: order._get_matomo_till(),
            self.salesperson_dimension: order.user_id.name or "",
        }
        return {number: value for number, value in dimensions.items() if number}
