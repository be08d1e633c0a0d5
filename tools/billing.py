"""How much of an order is really refunded, by the documents that bill it.

A credit note alone does not say that money is given back: it may correct an address,
and a new invoice follows; it may credit a down payment of an order that stands. The
amount that is refunded follows from all invoices and credit notes of the order:

- What is invoiced for the first time bills the order, up to what Matomo has of it.
- The shop keeps the goods that are invoiced and not credited, with the down payments
  that exceed what is still to be invoiced, or without those that it has credited
  although they were deducted.
- What was billed and is not kept is refunded.

Nothing here imports Odoo: the models gather the facts.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple


class Document(NamedTuple):
    """What an invoice or a credit note says about one order, with tax.

    :ivar goods: positive if they are invoiced, negative if they are credited
    :ivar down_payments: positive if they are invoiced, negative if they are credited,
        or deducted from the goods
    :ivar is_replacement: whether it invoices again what a credit note has credited
    """

    goods: Decimal
    down_payments: Decimal = Decimal(0)
    is_replacement: bool = False

    @property
    def credited(self) -> Decimal:
        """Return what a credit note gives back, 0 if it is an invoice."""
        return max(-self.goods - self.down_payments, Decimal(0))


def get_refunded(revenue: Decimal, documents: Iterable[Document]) -> Decimal:
    """Return how much of an order is refunded by its documents.

    An invoice that is not known as a replacement is one as far as it exceeds the
    order.

    :param revenue: of the order, as Matomo has it
    :param documents: posted ones, in the same currency, in any sequence
    :return: from 0 to ``revenue``
    """
    documents = list(documents)
    invoiced = sum(max(each.goods, 0) for each in documents if not each.is_replacement)
    billed = min(invoiced, revenue)
    to_bill = revenue - billed
    kept = sum(each.goods for each in documents)
    down_payments = sum(each.down_payments for each in documents)
    if down_payments > 0:
        # They pay what is still to be invoiced.
        kept += max(down_payments - to_bill, 0)
    else:
        # They were deducted from the goods, and credited besides.
        kept += down_payments
    return Decimal(min(max(billed - kept, 0), revenue))
