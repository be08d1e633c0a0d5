import logging
from datetime import timedelta

from odoo import api, fields, models

from ..matomo_api.client import BulkAnswer
from ..matomo_api.errors import (
    MatomoError,
    Misconfigured,
    ServerTrouble,
)
from .matomo_site_health import MAX_BACKOFF, Unreadable
from .waiting import scaled

_logger = logging.getLogger(__name__)

# What PHP answers when a request breaks it; gateways have other numbers.
SERVER_ERROR = 500
# An order that broke Matomo so often is given up.
MAX_ERRORS = 3
VERIFIER_SLACK = timedelta(seconds=1)
# An accepted order is looked for in Matomo after this time.
GRACE = scaled(minutes=1)


class MatomoRequest(models.Model):
    """The delivery of claimed rows: what is asked of Matomo, and what came of it.

    A delivery only talks to Matomo and yields outcomes; ``_settle`` writes them
    down afterwards, in a transaction that is replayed on a conflict. No
    transaction is open while Matomo is asked.
    """

    _inherit = "matomo.request"

    error_count = fields.Integer(
        string="Server Failures",
        readonly=True,
        aggregator=None,
        help="How often Matomo's server failed on this very order.",
    )

    # === DELIVERING === #

    def _deliver(self, site, client, rows):
        """Send claimed rows and find out what became of each.

        :return: list of ``(rows, method name, keyword arguments)`` for ``_settle``,
            and the trouble that ended the delivery, or None
        """
        outcomes = []
        unsettled = rows
        try:
            for outcome in self._deliver_rows(site, client, rows):
                outcomes.append(outcome)
                unsettled -= outcome[0]
        except Unreadable as error:
            # Matomo takes orders, but what these have become cannot be seen now.
            return [*outcomes, (unsettled, "_put_off", {"error": error})], error
        except MatomoError as error:
            return [*outcomes, (unsettled, "_release", {"error": error})], error
        return outcomes, None

    def _deliver_rows(self, site, client, rows):
        """Yield the outcomes of ``_deliver``.

        :raise MatomoError: when it cannot be found out now what became of the rest
        """
        for outcome in self._check_first(site, client, rows):
            yield outcome
            rows -= outcome[0]
        if not rows:
            return
        try:
            answer = self._post(site, client, rows)
        except ServerTrouble as error:
            if error.status != SERVER_ERROR:
                raise
            # Is Matomo ill, or does one of these orders break it?
            self._probe(site, client)
            yield from self._settle_each(site, client, rows, error)
            return
        if answer.tracked == len(rows):
            yield rows, "_set_sent", {"answer": answer}
            return
        if not answer.tracked:
            # All refused: all recorded before, or the token is wrong.
            self._probe(site, client)
        yield from self._settle_each(site, client, rows, answer)

    def _post(self, site, client, rows):
        """Send rows in one request; no transaction is open meanwhile.

        :raise MatomoError: as the client does
        """
        payloads = [row.payload for row in rows]
        timeout = site._get_timeout(len(rows))
        self._end_transaction()
        return client.send_bulk(payloads, timeout=timeout)

    def _probe(self, site, client):
        """Ask whether the token may record; no transaction is open meanwhile.

        :raise MatomoError: as the client does
        """
        idsite, timeout = site.idsite, site.order_timeout
        self._end_transaction()
        client.probe(idsite, timeout=timeout)

    def _check_first(self, site, client, rows):
        """Look in Matomo for the rows that may be there, before they are sent.

        A person wants them sent again, or they were sent and Matomo, which
        anonymises order ids, would count them twice, or they were cancelled since.
        """
        cancelled = rows.filtered(lambda row: not row._get_order()._is_matomo_sale())
        doubtful = cancelled | rows.filtered(
            lambda row: row.check_first
            or (site.is_order_id_anonymised and row.unsettled_count > 1)
        )
        # Not sent unless it is seen that Matomo does not have them.
        risky = doubtful.filtered(
            lambda row: row.check_first and not site._has_raw_data(row.order_date)
        )
        if not site.can_read and risky:
            yield risky, "_set_unsure", {}
        if not doubtful or not site.can_read:
            return
        if site._is_waiting("next_read_date"):
            yield doubtful, "_put_off", {}
            return
        try:
            recorded = self._read_back(site, client, doubtful)
        except Misconfigured:
            # The token may not read: may it record at all?
            self._probe(site, client)
            yield self.browse(), "_note_unreadable", {"site": site}
            if risky:
                yield risky, "_set_unsure", {}
            return
        for row in doubtful:
            order = recorded.get(row.order_ref)
            if order and row._is_ours(order):
                yield row, "_set_verified", {"recorded": order}
            elif row in cancelled:
                yield row, "_set_cancelled", {}
            elif order:
                yield row, "_set_foreign", {"recorded": order}
            elif row in risky:
                yield row, "_set_unsure", {}
            elif row.check_first:
                yield row, "_set_absent", {}

    def _settle_each(self, site, client, rows, answer):
        """Tell the recorded from the refused by reading Matomo back.

        Matomo says how many it refused, not which (MATOMO.md section 3), and
        refuses what it has already, too. What is not there is sent alone.

        :param answer: the ``BulkAnswer`` to all of them, or the ``ServerTrouble``
        :raise MatomoError: when it cannot be found out now
        """
        if not site.can_read:
            yield from self._settle_unread(site, client, rows, answer)
            return
        if site._is_waiting("next_read_date"):
            yield rows, "_put_off", {}
            return
        try:
            recorded = self._read_back(site, client, rows)
        except Misconfigured:
            # The token may not read: may it record at all?
            try:
                self._probe(site, client)
            except MatomoError as error:
                # Before it was asked, some of them may have been recorded.
                error.may_be_recorded = True
                raise
            yield self.browse(), "_note_unreadable", {"site": site}
            yield from self._settle_unread(site, client, rows, answer)
            return
        ours = rows.filtered(
            lambda row: row.order_ref in recorded
            and row._is_ours(recorded[row.order_ref])
        )
        if ours:
            yield ours, "_set_sent", {"answer": answer}
        for row in rows - ours:
            if order := recorded.get(row.order_ref):
                yield row, "_set_foreign", {"recorded": order}
            elif len(rows) == 1:
                yield row._get_refusal(answer)
            else:
                yield self._settle_alone(site, client, row)

    def _settle_alone(self, site, client, row, accepted="_set_sent"):
        """Send a row alone, so that the answer is about it and no other.

        :param accepted: the method that writes down that Matomo has taken it
        :return: an outcome, see ``_deliver``
        :raise Misconfigured: the token is wrong, or the site
        :raise MatomoError: when it cannot be found out now
        """
        try:
            answer = self._post(site, client, row)
        except ServerTrouble as error:
            if error.status != SERVER_ERROR:
                raise
            answer = error
        if isinstance(answer, BulkAnswer) and answer.tracked:
            return row, accepted, {"answer": answer}
        # Refused alone, and not there: the token's or the site's fault, or its own?
        self._probe(site, client)
        return row._get_refusal(answer)

    def _get_refusal(self, answer):
        """The outcome of a row that Matomo does not take, while it takes others."""
        if isinstance(answer, ServerTrouble):
            return self, "_set_broken", {"error": answer}
        return self, "_set_refused", {"answer": answer}

    def _settle_unread(self, site, client, rows, answer):
        """Settle rows of a site whose token may not read: what can be told is told."""
        is_broken = isinstance(answer, ServerTrouble)
        if is_broken and len(rows) > 1:
            for row in rows:
                yield self._settle_alone(site, client, row)
        elif is_broken or (len(rows) == 1 and rows.attempt_count == 1):
            yield rows._get_refusal(answer)
        elif set(rows.mapped("attempt_count")) == {1}:
            reason = self.env._(
                "Matomo refused %(refused)s of %(count)s orders that were sent "
                "together, and does not let the token read which.",
                refused=len(rows) - answer.tracked,
                count=len(rows),
            )
            yield rows, "_set_sent", {"answer": answer, "reason": reason}
        else:
            # Refused the second time: most likely because it is there.
            yield rows, "_set_sent", {"answer": answer}

    # === SETTLING === #

    def _settle(self, site, outcomes, error=None):
        """Write down what became of the rows, and of the site."""
        if isinstance(error, Unreadable):
            site._note_unread(error)
        elif error:
            site._note_trouble(error)
        elif any(method != "_put_off" for _rows, method, _arguments in outcomes):
            site._note_success()
        for rows, method, arguments in outcomes:
            getattr(rows, method)(**arguments)

    def _set_sent(self, answer, reason=False):
        """Matomo has accepted the rows; soon they are looked for there.

        :param answer: to these rows, or to what was sent when they were found there
        """
        check_date = fields.Datetime.now() + GRACE
        accepted = self._update_state(
            "sent",
            reason=reason,
            failure_type=False,
            next_attempt_date=False,
            check_first=False,
            error_count=0,
            unsettled_count=0,
            sent_date=fields.Datetime.now(),
            next_check_date=check_date,
            duration_ms=getattr(answer, "duration_ms", 0),
            answer_status=answer.status,
            answer_text=answer.text,
        )
        # A little later, when the last of this second's rows are due as well.
        self._wake_verifier(at=check_date + VERIFIER_SLACK)
        for row in accepted:
            # The guide: "Tracked ecommerce order %s: URL was %s".
            _logger.info(
                "Tracked ecommerce order %s: URL was %s",
                row.order_ref,
                row._get_url_for_log(),
            )

    def _set_absent(self):
        """Matomo does not have it, so it is built anew: the order may be mended."""
        self._update_state(
            "pending",
            payload=False,
            tracking_url=False,
            check_first=False,
            unsettled_count=0,
            next_attempt_date=False,
        )

    def _set_foreign(self, recorded):
        """Somebody else's order has our id in Matomo: ours takes another."""
        taken = self.order_ref
        self._update_state(
            "pending",
            payload=False,
            tracking_url=False,
            unsettled_count=0,
            next_attempt_date=False,
            **self._get_free_order_ref(self._get_order(), avoid=(taken,)),
        )
        _logger.warning(
            "Matomo has an order %s of %s that is not ours; %s is sent as %s",
            taken,
            recorded.revenue,
            self._get_order(),
            self.order_ref,
        )

    def _set_refused(self, answer):
        """Matomo refuses this very order."""
        self._fail(
            "refused",
            self._get_refused_reason(),
            duration_ms=answer.duration_ms,
            answer_status=answer.status,
            answer_text=answer.text,
        )

    def _set_broken(self, error):
        """Matomo's server failed on this very order, while it takes others."""
        count = self.error_count + 1
        values = {"answer_status": error.status, "answer_text": error.text}
        self._note_unrecorded()
        if count >= MAX_ERRORS:
            self._fail(
                "server",
                self._get_broken_reason(count),
                error_count=0,
                **values,
            )
            return
        date = fields.Datetime.now() + self.site_id._get_backoff(count)
        self._update_state(
            "pending",
            next_attempt_date=date,
            failure_type="server",
            error_count=count,
            **values,
        )
        self._wake_sender(at=date)

    def _get_refused_reason(self):
        return self.env._(
            "Matomo refused this order, although it accepts the token and the "
            "site. Compare the audit URL with what Matomo expects, mend the "
            "order and press Retrack."
        )

    def _get_broken_reason(self, count):
        return self.env._(
            "Matomo's server failed %s times on this order, although it takes "
            "others: its error log says why. Then press Retrack.",
            count,
        )

    def _release(self, error):
        """Back to the queue: nothing is known, and nobody's attempts are used up."""
        self._update_state(
            "pending",
            next_attempt_date=False,
            failure_type=_failure_type(error),
            answer_status=error.status,
            answer_text=error.text,
        )
        if not error.may_be_recorded:
            self._note_unrecorded()

    def _put_off(self, error=None):
        """Back to the queue until Matomo can be read again; others go on."""
        if not self:
            return
        now = fields.Datetime.now()
        date = min(self.site_id.next_read_date or now, now + MAX_BACKOFF)
        values = {"next_attempt_date": date, "failure_type": "server"}
        if error:
            values |= {"answer_status": error.status, "answer_text": error.text}
        self._update_state("pending", **values)
        self._wake_sender(at=date)

    @api.model
    def _note_unreadable(self, site):
        """Say once that the site's token may not read."""
        if site.can_read:
            _logger.warning("The token of Matomo site %s may not read it.", site.id)
            site.can_read = False


def _failure_type(error):
    """The kind of trouble, as ``matomo.request.failure_type`` has it."""
    if isinstance(error, Misconfigured):
        return "config"
    return "server" if isinstance(error, ServerTrouble) else "network"
